r"""The few things we ask of Pyro's message stack; no other file touches it."""

__all__ = [
    "Replay",
    "StoredParameters",
    "active_handlers",
    "emit_parameters",
    "heard_parameters",
]

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from pyro import get_param_store
from pyro.poutine.messenger import Messenger
from pyro.poutine.runtime import _PYRO_STACK, am_i_wrapped, effectful
from pyro.poutine.trace_messenger import TraceMessenger
from pyro.poutine.trace_struct import Trace
from pyro.poutine.util import site_is_subsample
from torch import Tensor
from torch.distributions import constraints


class Replay(Messenger):
    r"""Gives a model the values of a guide's trace, and keeps what the model's statements say.

    Pyro's own replay puts the guide's `infer` dictionary in the place of the model's; here the
    two are merged and the model's entries win.

    Args:
        trace: The guide's trace.
        value: Maps the messages of the guide and the model at one site to the value to replay.
        missing: Maps the model's message at a site that the guide lacks to the error to raise.
    """

    def __init__(
        self,
        trace: Trace,
        value: Callable[[Any, Any], Tensor],
        missing: Callable[[Any], Exception],
    ) -> None:
        super().__init__()
        self.trace = trace
        self.value = value
        self.missing = missing

    def _pyro_sample(self, msg: Any) -> None:
        known = msg["name"] in self.trace
        if msg["is_observed"] or (site_is_subsample(msg) and not known):
            return
        if not known:
            raise self.missing(msg)

        guide: Any = self.trace.nodes[msg["name"]]
        msg["value"] = self.value(guide, msg)
        msg["infer"] = {**guide["infer"], **msg["infer"]}
        msg["done"] = True


def emit_parameters(parameters: Iterable[tuple[str, Tensor]]) -> None:
    r"""Tells the handlers around a program of parameters that a module owns.

    `pyro.infer.SVI` finds the parameters it trains by listening to such messages, and Pyro's
    optimisers ask the parameter store for their names. The module stays the only owner: the
    store learns the names and not the values, and keeps nothing alive, so that two networks with
    the same names do not overwrite each other. Where both run in one program, the second gets
    another name.

    Args:
        parameters: Names and parameters.
    """

    if not am_i_wrapped():
        return

    names: Any = get_param_store()._param_to_name
    for wanted, parameter in parameters:
        name = _free_name(wanted, parameter)
        names[_Weakly(parameter, names)] = name
        value = parameter.detach()
        value.unconstrained = weakref.ref(parameter)  # type: ignore[attr-defined]
        effectful(lambda *_, _value=value, **__: _value, type="param")(
            name, parameter, constraint=constraints.real, event_dim=None, name=name
        )


class _Weakly:
    """A key that stands for a parameter in a dictionary, without keeping it alive."""

    def __init__(self, parameter: Tensor, names: dict[Any, str]) -> None:
        self._hash = hash(parameter)
        self._parameter = weakref.ref(parameter, lambda _: names.pop(self, None))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if isinstance(other, _Weakly):
            return self is other or self._parameter() is other._parameter() is not None
        return self._parameter() is other


def _free_name(wanted: str, parameter: Tensor) -> str:
    """The name, or one like it where a trace has heard it of another parameter."""
    traces = [h.trace for h in _PYRO_STACK if isinstance(h, TraceMessenger)]
    name, count = wanted, 1
    while any(name in trace and not _is_of(trace.nodes[name], parameter) for trace in traces):
        count += 1
        name = f"{wanted}_{count}"
    return name


def _is_of(node: Any, parameter: Tensor) -> bool:
    return node["type"] == "param" and node["value"].unconstrained() is parameter


def active_handlers() -> list[Messenger]:
    r"""The handlers around the running program that may change what it does.

    A trace is none of them: it only listens.
    """

    return [handler for handler in _PYRO_STACK if not isinstance(handler, TraceMessenger)]


def heard_parameters(trace: Trace) -> list[tuple[str, Tensor]]:
    r"""Names and unconstrained values of the parameters that a trace has heard of.

    Args:
        trace: A trace of a program.
    """

    nodes: list[tuple[str, Any]] = list(trace.nodes.items())
    heard = ((name, node["value"]) for name, node in nodes if node["type"] == "param")
    return [(name, value.unconstrained()) for name, value in heard]


class StoredParameters(Mapping[str, Tensor]):
    r"""Unconstrained parameters of Pyro's store, read anew each time.

    Args:
        names: Names of parameters; those the store does not have are left out.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = [name for name in names if name in get_param_store()]

    def __getitem__(self, name: str) -> Tensor:
        return dict(get_param_store().named_parameters())[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
