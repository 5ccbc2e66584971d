r"""Which posterior family a prior gets."""

__all__ = ["Options", "build_family", "register_family"]

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from pyro.distributions import (
    Bernoulli,
    Gamma,
    HalfCauchy,
    InverseGamma,
    LogNormal,
    Normal,
)
from torch import Tensor
from torch.distributions import Distribution, biject_to

from pyro_sparse.distributions import (
    L0,
    L2,
    EmpiricalNormal,
    Gate,
    GroupGaussianMixture,
    HardConcrete,
    LogUniform,
    TruncatedLogUniform,
)
from pyro_sparse.guides.family import (
    Family,
    LawFamily,
    LogNormalFamily,
    NormalFamily,
    PointFamily,
    TransformedFamily,
    TruncatedLogNormalFamily,
)
from pyro_sparse.guides.site import SiteSpec
from pyro_sparse.local import law_tensors


@dataclass(frozen=True)
class Options:
    r"""How families start.

    Args:
        init: The initial value of a site, as a function of (name, shape).
        init_scale: Initial standard deviation of normals, a number or likewise a function.
        init_gate_prob: Initial `probs` of gates.
    """

    init: Callable[[str, torch.Size], Tensor] | None = None
    init_scale: float | Callable[[str, torch.Size], float] = 0.01
    init_gate_prob: float = 0.9

    def weights(self, site: SiteSpec) -> Tensor:
        r"""The initial weights of a site."""

        if self.init is None:
            return site.weights()
        initial = torch.as_tensor(self.init(site.name, site.shape))
        if initial.shape != site.shape:
            raise ValueError(
                f"init returns a value of the site's shape, {tuple(site.shape)} for "
                f"'{site.name}', got {tuple(initial.shape)}."
            )
        return initial.to(site.full(0.0))

    def scale(self, site: SiteSpec) -> float:
        r"""The initial standard deviation of a site."""

        if not callable(self.init_scale):
            return self.init_scale

        scale = float(self.init_scale(site.name, site.shape))
        if not scale > 0:
            raise ValueError(
                f"init_scale returns positive standard deviations, got {scale} for '{site.name}'."
            )
        return scale


Builder = Callable[[SiteSpec, Options], Family]

_TABLE: list[tuple[type[Distribution], str, Builder]] = []


def register_family(prior: type[Distribution], role: str, builder: Builder) -> None:
    r"""Enters a pair of prior and posterior family; later entries go before earlier ones.

    Args:
        prior: Type of the prior.
        role: "weight" or "gate".
        builder: Makes the family, as a function of (site, options).

    Example:
        >>> from pyro.distributions import Laplace
        >>> from pyro_sparse.guides import PointFamily
        >>> class Lasso(Laplace): pass
        >>> register_family(Lasso, "weight", lambda site, options: PointFamily(site.weights()))
    """

    if role not in ("weight", "gate"):
        raise ValueError(f"The role of a site is 'weight' or 'gate', got {role!r}.")
    _TABLE.insert(0, (prior, role, builder))


def build_family(site: SiteSpec, options: Options, override: Any = None) -> Family:
    r"""The family of a site.

    Args:
        site: The site.
        options: How families start.
        override: What the user asks for instead of the table's choice: a law whose location is
            trained, or a function of (site, options), or None.
    """

    if isinstance(override, Distribution):
        return located(site, override)
    if override is not None:
        return override(site, options)

    prior = site.prior
    for kind, role, builder in _TABLE:
        if isinstance(prior, kind) and role == site.role:
            return builder(site, options)

    if site.role == "gate":
        raise ValueError(
            f"No posterior family is known for the gate '{site.name}' under a "
            f"{type(prior).__name__} prior. Give one with AutoSparse(gate=...) or register_family."
        )
    free = biject_to(prior.support).inverse_shape(site.shape)
    return TransformedFamily(prior, site.like.new_zeros(free), options.scale(site))


def located(site: SiteSpec, law: Distribution) -> LawFamily:
    r"""A law of the user's own, with its location trained.

    Args:
        site: The site.
        law: A law with a tensor called `logits` or `loc`, which is the one trained.
    """

    law = law.expand(site.shape)
    names = [name for name, _ in law_tensors(law)]
    for wanted in ("logits", "loc"):
        found = [name for name in names if name.split(".")[-1] == wanted]
        if found:
            return LawFamily(law, found[:1], site.role, site.shared).to(site.like)

    raise ValueError(
        f"The location of a posterior law is a tensor called logits or loc, and "
        f"{type(law).__name__} at '{site.name}' holds {names}. Give a function of (site, options) "
        "that returns LawFamily(law, trained=names) instead."
    )


def _normal_weight(site: SiteSpec, options: Options) -> Family:
    return NormalFamily(options.weights(site), options.scale(site), "weight", site.shared)


def _point_weight(site: SiteSpec, options: Options) -> Family:
    return PointFamily(options.weights(site), site.shared)


def _normal_scale(site: SiteSpec, options: Options) -> Family:
    # A multiplicative scale starts at 1: a mean of 0 would be a stationary point.
    return NormalFamily(site.full(1.0), options.scale(site), "gate", site.shared)


def _hard_concrete(site: SiteSpec, options: Options) -> Family:
    prob = options.init_gate_prob
    logits = site.full(math.log(prob) - math.log1p(-prob))
    return LawFamily(HardConcrete(logits=logits), ["base.logits"], "gate", site.shared)


def _truncated(site: SiteSpec, options: Options) -> Family:
    low, high = site.prior.low, site.prior.high
    return TruncatedLogNormalFamily(site.full(high), options.scale(site), low, high, site.shared)


def _log_normal(site: SiteSpec, options: Options) -> Family:
    return LogNormalFamily(site.full(0.0), options.scale(site), site.role, site.shared)


for _law in (Normal, LogUniform, EmpiricalNormal, GroupGaussianMixture):
    register_family(_law, "weight", _normal_weight)
register_family(L2, "weight", _point_weight)
register_family(L0, "gate", _hard_concrete)
register_family(Bernoulli, "gate", _hard_concrete)
register_family(Gate, "gate", _hard_concrete)
register_family(TruncatedLogUniform, "gate", _truncated)
for _law in (Normal, LogUniform, EmpiricalNormal):
    register_family(_law, "gate", _normal_scale)
for _positive in (Gamma, InverseGamma, LogNormal, HalfCauchy):
    register_family(_positive, "weight", _log_normal)
    register_family(_positive, "gate", _log_normal)
