r"""Sites whose divergence counts only while a gate is open."""

__all__ = ["beside", "gate_probability"]

from typing import Any

import torch
from pyro.poutine.trace_struct import Trace
from torch import Tensor

from pyro_sparse.distributions import LogUniform
from pyro_sparse.infer.statements import Site
from pyro_sparse.local import peel


def gate_probability(name: str, model: Site, guide_trace: Trace) -> Tensor | None:
    r"""P(z != 0) of the gate that a model's statement names, beside the site's elements.

    With `infer={"gated_by": gate}` the divergence of a weight and its gate is

        KL(z) + P(z != 0) KL(w | z != 0),

    the bound of a spike-and-slab posterior. Shapes align from the right, event dimensions first;
    `infer={"gated_view": shape}` reshapes the probabilities before that, for example `(-1, 1)`
    for a gate of the rows; `infer={"gated_repeat": n}` lets each stand for n columns, the width of
    an attention head. A gate without an atom at 0 is only taken with
    `infer={"gated_relaxed": True}`: the product is then a relaxed penalty, no longer a bound.

    Args:
        name: The gated site.
        model: The model's trace node of the gated site.
        guide_trace: The guide's trace.

    Returns:
        None for a site without a gate.

    Raises:
        ValueError: The gate is missing or observed, has no probability of being active or no
            atom, does not fit the shape of the site's divergence, or gates a log-uniform weight.
    """

    gate = model["infer"].get("gated_by")
    if gate is None:
        return None

    sites = f"Site '{name}' is gated by '{gate}'"
    law = _gate_law(sites, gate, guide_trace)
    if isinstance(peel(model["fn"]), LogUniform):
        raise ValueError(
            f"{sites}, but the divergence from its log-uniform prior is known only up to a "
            "constant, which a gate would make matter. Use a proper prior for the weight."
        )
    if not law.has_atoms and not model["infer"].get("gated_relaxed"):
        raise ValueError(
            f"{sites}, whose law {type(law).__name__} is never exactly 0. Say "
            'infer={"gated_relaxed": True} to use its prob_active as a relaxed penalty.'
        )

    fn: Any = guide_trace.nodes[gate]["fn"]
    probability = beside(model, fn.event_dim, law.prob_active)
    shape = _elements(model)
    if _broadcast(probability.shape, shape) != shape:
        raise ValueError(
            f"{sites}, whose probabilities of shape {tuple(law.prob_active.shape)} do not spread "
            f"over the shape {tuple(shape)} of its divergence from the right. Give their place "
            'with infer={"gated_view": shape}, for example (-1, 1) for a gate of the rows; the '
            "events of a joint law are gated as a whole."
        )
    return probability


def _gate_law(sites: str, gate: str, guide_trace: Trace) -> Any:
    node = guide_trace.nodes.get(gate)
    if node is None or node["type"] != "sample":
        raise ValueError(
            f"{sites}, which the guide does not sample (its sites: "
            f"{[n for n, s in guide_trace.nodes.items() if s['type'] == 'sample']})."
        )
    if node["is_observed"]:
        raise ValueError(f"{sites}, which is observed. A gate is a latent site of the guide.")

    fn: Any = node["fn"]
    law = peel(fn)
    if not hasattr(type(law), "prob_active"):
        raise ValueError(
            f"{sites}, whose law {type(law).__name__} has no prob_active. "
            "Use a gate law, such as HardConcrete."
        )
    return law


def beside(model: Site, gate_event_dim: int, probability: Tensor) -> Tensor:
    r"""Numbers of a gate, shaped so that they broadcast over the site that it gates.

    Args:
        model: The model's trace node of the gated site.
        gate_event_dim: Number of event dimensions of the gate's site.
        probability: A number for each gate, `(*gates)`.
    """

    repeat = model["infer"].get("gated_repeat")
    if repeat is not None:
        return probability.repeat_interleave(repeat, -1)

    view = model["infer"].get("gated_view")
    if view is not None:
        return probability.reshape(view)

    batch = probability.ndim - gate_event_dim
    event_dim = model["fn"].event_dim - len(peel(model["fn"]).event_shape)
    missing = max(event_dim - gate_event_dim, 0)
    return probability.reshape(
        *probability.shape[:batch], *(1,) * missing, *probability.shape[batch:]
    )


def _elements(model: Site) -> torch.Size:
    """The shape of a site's divergence before it is summed: one number for each joint law."""
    shape = model["fn"].shape()
    return shape[: len(shape) - len(peel(model["fn"]).event_shape)]


def _broadcast(left: torch.Size, right: torch.Size) -> torch.Size | None:
    try:
        return torch.broadcast_shapes(left, right)
    except RuntimeError:
        return None
