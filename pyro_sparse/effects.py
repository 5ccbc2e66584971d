r"""The two things we ask of Pyro's message stack; no other file touches it."""

__all__ = ["Replay", "emit_parameters", "heard_parameters"]

import weakref
from collections.abc import Callable, Iterable
from typing import Any

from pyro import get_param_store
from pyro.poutine.messenger import Messenger
from pyro.poutine.runtime import am_i_wrapped, effectful
from pyro.poutine.trace_struct import Trace
from torch import Tensor
from torch.distributions import constraints


class Replay(Messenger):
    r"""Gives a model the values of a guide's trace, and keeps what the model's statements say.

    Pyro's own replay puts the guide's `infer` dictionary in the place of the model's; here the
    two are merged and the model's entries win.

    Args:
        trace: The guide's trace.
        value: Maps the messages of the guide and the model at one site to the value to replay.
    """

    def __init__(self, trace: Trace, value: Callable[[Any, Any], Tensor]) -> None:
        super().__init__()
        self.trace = trace
        self.value = value

    def _pyro_sample(self, msg: Any) -> None:
        if msg["is_observed"] or msg["name"] not in self.trace:
            return

        guide: Any = self.trace.nodes[msg["name"]]
        msg["value"] = self.value(guide, msg)
        msg["infer"] = {**guide["infer"], **msg["infer"]}
        msg["done"] = True


def emit_parameters(parameters: Iterable[tuple[str, Tensor]]) -> None:
    r"""Tells the handlers around a program of parameters that a module owns.

    `pyro.infer.SVI` finds the parameters it trains by listening to such messages, and Pyro's
    optimisers ask the parameter store for their names. The module stays the only owner: the
    store learns the names and not the values, so that two networks with the same names do not
    overwrite each other.

    Args:
        parameters: Names and parameters.
    """

    if not am_i_wrapped():
        return

    names = get_param_store()._param_to_name
    for name, parameter in parameters:
        names[parameter] = name
        value = parameter.detach()
        value.unconstrained = weakref.ref(parameter)  # type: ignore[attr-defined]
        effectful(lambda *_, _value=value, **__: _value, type="param")(
            name, parameter, constraint=constraints.real, event_dim=None, name=name
        )


def heard_parameters(trace: Trace) -> list[tuple[str, Tensor]]:
    r"""Names and unconstrained values of the parameters that a trace has heard of.

    Args:
        trace: A trace of a program.
    """

    nodes: list[tuple[str, Any]] = list(trace.nodes.items())
    heard = ((name, node["value"]) for name, node in nodes if node["type"] == "param")
    return [(name, value.unconstrained()) for name, value in heard]
