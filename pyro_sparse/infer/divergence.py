r"""The divergence of one site: which rule applies, gated by what, summed over which dimensions."""

__all__ = ["SiteDivergence", "find_rule", "site_divergence"]

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from pyro.distributions import Delta, MaskedDistribution
from pyro.distributions.util import scale_and_mask, sum_rightmost
from pyro.poutine.trace_struct import Trace
from torch import Tensor
from torch.distributions import Distribution, Independent, TransformedDistribution
from torch.distributions.kl import (
    _KL_MEMOIZE,
    _dispatch_kl,
    _kl_expfamily_expfamily,
    _kl_transformed_transformed,
)

from pyro_sparse.distributions import EmpiricalNormal
from pyro_sparse.distributions.checks import is_tracing
from pyro_sparse.distributions.gate import has_atoms
from pyro_sparse.infer.gating import gate_probability
from pyro_sparse.infer.statements import Site, is_true
from pyro_sparse.kl import empirical_kl
from pyro_sparse.local import Local, peel

Rule = Callable[[Distribution, Distribution], Tensor]


@dataclass(frozen=True)
class SiteDivergence:
    r"""The divergence of one site.

    Args:
        value: The divergence, a scalar in nats on the full-data scale.
        analytic: Whether a rule gave it; otherwise it is estimated from one draw.
    """

    value: Tensor
    analytic: bool


def find_rule(q: Distribution, p: Distribution) -> Rule | None:
    r"""The registered rule for the base laws of `q` and `p`, None where none may be used.

    A point mass that carries a Jacobian has none: rules for `Delta` know nothing of it.

    Args:
        q: The guide's law.
        p: The model's law.
    """

    q, p = peel(q), peel(p)
    if isinstance(q, Delta) and _carries_jacobian(q):
        return None

    types = type(q), type(p)
    if types not in _KL_MEMOIZE:
        _KL_MEMOIZE[types] = _dispatch_kl(*types)
    rule = _KL_MEMOIZE[types]
    return None if rule is NotImplemented or not _covers(rule, q, p) else rule


def _covers(rule: Rule, q: Distribution, p: Distribution) -> bool:
    """Whether a rule that torch has for whole families of laws knows this pair of them."""
    if rule is _kl_transformed_transformed:
        assert isinstance(q, TransformedDistribution) and isinstance(p, TransformedDistribution)
        same = q.transforms == p.transforms and q.event_shape == p.event_shape
        return same and find_rule(q.base_dist, p.base_dist) is not None
    return rule is not _kl_expfamily_expfamily or type(q) is type(p)


def site_divergence(name: str, guide: Site, model: Site, guide_trace: Trace) -> SiteDivergence:
    r"""KL(q || p) of a latent site, times the probability of its gate where it has one.

    Args:
        name: Name of the site.
        guide: The guide's trace node.
        model: The model's trace node.
        guide_trace: The guide's trace, in which the gating site is looked up.

    Raises:
        TypeError: There is no rule, and an estimate from a draw would be biased.
        ValueError: The gate named by the site cannot gate it.
    """

    q, p = guide["fn"], model["fn"]
    rule = find_rule(q, p)
    if rule is None:
        _check_estimable(name, q, p, model)
        value = q.log_prob(guide["value"]) - p.log_prob(guide["value"])
        return SiteDivergence(_total(value, model), analytic=False)

    probability = gate_probability(name, model, guide_trace)
    inner = len(peel(p).event_shape)
    masks = [*_masks(q, inner), *_masks(p, inner)]
    value = _elementwise(rule, peel(q), peel(p), probability, masks)
    for mask in masks:
        value = scale_and_mask(value, mask=mask)

    event_dims = value.ndim - len(q.batch_shape)
    if event_dims > 0:
        value = value.sum(list(range(-event_dims, 0)))
    if is_tracing():  # a later step may have the Jacobian that this one has not
        value = value + _log_density(q)
    return SiteDivergence(_total(value, model), analytic=True)


def _elementwise(
    rule: Rule, q: Any, p: Distribution, probability: Tensor | None, masks: list[Any]
) -> Tensor:
    if isinstance(p, EmpiricalNormal) and (probability is not None or masks):
        counted = [m for m in (probability, *masks) if m is not None]
        weights = reduce(torch.mul, (torch.as_tensor(m, device=q.loc.device) for m in counted))
        value = empirical_kl(q, p, weights.to(q.loc.dtype))
    else:
        value = rule(q, p)
    return value if probability is None else value * probability


def _total(value: Tensor, site: Site) -> Tensor:
    return scale_and_mask(value, site["scale"], site["mask"]).sum()


def _masks(law: Distribution, inner: int) -> Iterator[Any]:
    """Masks inside a law, each beside the elements of a rule that sums `inner` dimensions."""
    while isinstance(law, (Independent, MaskedDistribution, Local)):
        if isinstance(law, MaskedDistribution):
            mask, summed = law._mask, len(law.event_shape) - inner
            yield mask.reshape(*mask.shape, *(1,) * summed) if isinstance(mask, Tensor) else mask
        law = law.law if isinstance(law, Local) else law.base_dist


def _log_density(law: Distribution) -> Tensor | float:
    """What a point mass carries as its log density, 0 of other laws."""
    base = peel(law)
    if not isinstance(base, Delta):
        return 0.0
    return sum_rightmost(base.log_density, base.log_density.ndim - len(law.batch_shape))


def _carries_jacobian(q: Delta) -> bool:
    # An expanded zero is how a point mass says that it has none; it is read without a reduction.
    density = q.log_density
    if not any(density.stride()):
        density = density[(0,) * density.ndim]
    return is_true((density != 0).any())


def _check_estimable(name: str, q: Distribution, p: Distribution, model: Site) -> None:
    pair = f"{type(peel(q)).__name__}, {type(peel(p)).__name__}"
    if model["infer"].get("gated_by") is not None:
        raise TypeError(
            f"A gated site needs an analytic KL rule, and site '{name}' ({pair}) has none. "
            "Register one with torch.distributions.kl.register_kl."
        )

    for law in (peel(q), peel(p)):
        if has_atoms(law):
            raise TypeError(
                f"There is no KL rule for ({pair}) at site '{name}', and it cannot be estimated "
                f"from draws: {type(law).__name__} has atoms, across which the pathwise gradient "
                "is biased. Register one with torch.distributions.kl.register_kl."
            )
