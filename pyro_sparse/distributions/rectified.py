"""Continuous laws clipped to the unit interval, which puts atoms at 0 and 1."""

__all__ = ["Rectified"]

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from pyro_sparse.distributions.checks import (
    Shape,
    check_sample,
    require,
    require_methods,
    settle,
    validates,
)
from pyro_sparse.distributions.gate import Gate, has_atoms
from pyro_sparse.special import gauss_legendre


class Rectified(Gate):
    r"""A continuous law on the real line, clipped to the unit interval.

    .. math::
        z = \min(1, \max(0, x)), \qquad x \sim \mathrm{base}

    For turning any law with a density and a cdf into a gate that is exactly 0, and exactly 1,
    with positive probability. The atoms are :math:`P(z = 0) = F(0)` and
    :math:`P(z = 1) = 1 - F(1)`; what lies between keeps the density of the base. Not for laws
    with atoms of their own.

    `mean` and `variance` integrate the survival function with 32 fixed nodes, which is exact to
    many digits as long as the base is not much narrower than the unit interval. Atoms are resolved
    as far as the base's cdf is: one whose mass rounds to 0 has log probability minus infinity.

    References:
        Learning Sparse Neural Networks through L0 Regularization (Louizos, Welling, Kingma,
        2018), https://arxiv.org/abs/1712.01312

    Args:
        base: a law with `log_prob`, `cdf` and `rsample`, `(*batch)`, without event dimensions.

    Example:
        >>> from pyro.distributions import Normal
        >>> gate = Rectified(Normal(0.0, 1.0))
        >>> gate.prob_active
        tensor(0.5000)
        >>> gate.log_prob(torch.tensor([0.0, 0.5, 1.0])).exp()
        tensor([0.5000, 0.3521, 0.1587])
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    has_atoms = True

    def __init__(self, base: Distribution, validate_args: bool | None = None) -> None:
        if validates(validate_args):
            _check_base(base)

        self.base = base
        super().__init__(base.batch_shape, validate_args=validate_args)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base})"

    def expand(self, batch_shape: Shape, _instance: object = None) -> "Rectified":
        new = self._get_checked_instance(Rectified, _instance)
        batch_shape = torch.Size(batch_shape)

        new.base = self.base.expand(batch_shape)
        # A law of torch's fixes its own checks here; the base follows the process as before.
        settle(new.base, vars(self.base).get("_validate_args"))

        super(Rectified, new).__init__(batch_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def log_prob_zero(self) -> Tensor:
        """Log probability of the atom at 0, `(*batch)`."""
        mass = self._base_cdf(0.0)
        return _where_positive(mass, mass.clamp(min=torch.finfo(mass.dtype).tiny).log())

    @property
    def log_prob_one(self) -> Tensor:
        """Log probability of the atom at 1, `(*batch)`."""
        below = self._base_cdf(1.0)
        limit = 1 - torch.finfo(below.dtype).eps / 2
        return _where_positive(1 - below, torch.log1p(-below.clamp(max=limit)))

    @property
    def prob_active(self) -> Tensor:
        """Probability of a gate other than 0, `(*batch)`."""
        return 1 - self._base_cdf(0.0)

    @property
    def deterministic(self) -> Tensor:
        """The mean of the base, clipped to the unit interval, `(*batch)`."""
        return self.base.mean.clamp(0, 1)

    @property
    def mean(self) -> Tensor:
        r"""Expectation :math:`\int_0^1 P(x > z) dz` by quadrature, `(*batch)`."""
        nodes, weights = self._unit_nodes()
        return (weights * self.survival(nodes)).sum(0)

    @property
    def variance(self) -> Tensor:
        r"""Variance, from :math:`E z^2 = \int_0^1 2 z P(x > z) dz` by quadrature, `(*batch)`."""
        nodes, weights = self._unit_nodes()
        survival = self.survival(nodes)
        mean = (weights * survival).sum(0)
        square = (2 * nodes * weights * survival).sum(0)
        return (square - mean.square()).clamp(min=0)

    def survival(self, value: Tensor) -> Tensor:
        """Probability that the base exceeds `value`."""
        return 1 - self.base.cdf(value)

    def cdf(self, value: Tensor) -> Tensor:
        check_sample(self, value)

        inside = self.base.cdf(value.clamp(0, 1))
        return torch.where(value >= 1, torch.ones_like(inside), inside)

    def icdf(self, value: Tensor) -> Tensor:
        """Smallest gate whose cdf reaches `value`; needs a base with `icdf`."""
        return self.base.icdf(value).clamp(0, 1)

    def log_prob(self, value: Tensor) -> Tensor:
        check_sample(self, value)

        inside = (value > 0) & (value < 1)
        # The density is never asked at an atom: its gradient there would leak through `where`.
        density = self.base.log_prob(torch.where(inside, value, torch.full_like(value, 0.5)))
        atom = torch.where(value <= 0, self.log_prob_zero, self.log_prob_one)
        return torch.where(inside, density, atom)

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        return self.base.rsample(sample_shape).clamp(0, 1)

    def interior_nodes(self) -> tuple[Tensor, Tensor]:
        """Nodes and weights that integrate over the open unit interval, each `(n, *batch)`."""
        return self._unit_nodes(64)

    def _unit_nodes(self, count: int = 32) -> tuple[Tensor, Tensor]:
        like = self._base_cdf(0.5)
        nodes, weights = gauss_legendre(count, dtype=like.dtype, device=like.device)
        shape = (count, *(1 for _ in self.batch_shape))
        return nodes.reshape(shape), weights.reshape(shape)

    def _base_cdf(self, value: float) -> Tensor:
        # 0, 1/2 and 1 are exact in every precision; promotion takes the law's own.
        return self.base.cdf(torch.tensor(value)).expand(self.batch_shape)


def _where_positive(mass: Tensor, log_mass: Tensor) -> Tensor:
    """The log of an atom that is there; infinite, and without gradient, where its mass is 0."""
    return torch.where(mass > 0, log_mass, torch.full_like(log_mass, -math.inf))


def _check_base(base: Distribution) -> None:
    require_methods("Rectified", base, "log_prob", "cdf", "rsample")
    require(
        not has_atoms(base),
        base,
        "Rectified needs a base without atoms",
        "Give the continuous law itself; clipping it makes the atoms.",
    )
    require(
        base.event_shape == (),
        base,
        "Rectified needs a base over single numbers, without event dimensions",
        "Call `.to_event(n)` on the rectified law instead.",
    )
