"""The hard normal gate: a normal law clipped to the unit interval."""

__all__ = ["HardNormal"]

import math
from typing import ClassVar

import torch
from pyro.distributions import Normal
from torch import Tensor
from torch.distributions import constraints
from torch.special import log_ndtr

from pyro_sparse.distributions.checks import Shape, broadcast, require, settle, together, validates
from pyro_sparse.distributions.implicit import stop
from pyro_sparse.distributions.rectified import Rectified
from pyro_sparse.special import ndtr


class HardNormal(Rectified):
    r"""Hard normal gate of stochastic gates (STG), exactly 0 and 1 with positive probability.

    .. math::
        z = \min(1, \max(0, \mathrm{loc} + \mathrm{scale}\,\varepsilon)), \qquad
        P(z \ne 0) = \Phi(\mathrm{loc} / \mathrm{scale})

    For selecting features and units under an `L0` penalty, with the scale usually fixed at 1/2.
    The paper writes loc as mu + 1/2.

    References:
        Feature Selection using Stochastic Gates (Yamada, Lindenbaum, Negahban, Kluger, 2020),
        https://arxiv.org/abs/1810.04247

    Args:
        loc: mean before clipping, `(*batch)`.
        scale: positive standard deviation before clipping, `(*batch)`.

    Example:
        >>> gate = HardNormal(torch.tensor([-0.5, 0.5, 1.5]), 0.5)
        >>> gate.prob_active
        tensor([0.1587, 0.8413, 0.9987])
        >>> gate.deterministic
        tensor([0.0000, 0.5000, 1.0000])
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    base: Normal

    def __init__(
        self,
        loc: Tensor | float,
        scale: Tensor | float = 0.5,
        validate_args: bool | None = None,
    ) -> None:
        loc, scale = together(loc, scale)
        broadcast("HardNormal", {"loc": loc.shape, "scale": scale.shape})
        if validates(validate_args):
            _check(loc, scale)

        super().__init__(Normal(loc, scale, validate_args=False), validate_args=False)
        settle(self, validate_args)

    def __repr__(self) -> str:
        return repr(self.base).replace("Normal", "HardNormal")

    def expand(self, batch_shape: Shape, _instance: object = None) -> "HardNormal":
        return super().expand(batch_shape, self._get_checked_instance(HardNormal, _instance))

    @property
    def loc(self) -> Tensor:
        """Mean before clipping, `(*batch)`."""
        return self.base.loc

    @property
    def scale(self) -> Tensor:
        """Standard deviation before clipping, `(*batch)`."""
        return self.base.scale

    @property
    def active_logits(self) -> Tensor:
        """Log odds of a gate other than 0, `(*batch)`."""
        ratio = self.loc / self.scale
        return log_ndtr(ratio) - log_ndtr(-ratio)

    @property
    def prob_active(self) -> Tensor:
        """Probability of a gate other than 0, `(*batch)`."""
        return ndtr(self.loc / self.scale)

    @property
    def log_prob_zero(self) -> Tensor:
        """Log probability of the atom at 0, `(*batch)`."""
        return log_ndtr(-self.loc / self.scale)

    @property
    def log_prob_one(self) -> Tensor:
        """Log probability of the atom at 1, `(*batch)`."""
        return log_ndtr((self.loc - 1) / self.scale)

    @property
    def mean(self) -> Tensor:
        """Expectation of the clipped gate in closed form, `(*batch)`."""
        centre, first, _ = self._moments()
        return centre + first

    @property
    def variance(self) -> Tensor:
        """Variance of the clipped gate in closed form, `(*batch)`."""
        _, first, second = self._moments()
        return (second - first.square()).clamp(min=0)

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        noise = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        return (self.loc + self.scale * noise).clamp(0, 1)

    def interior_nodes(self) -> tuple[Tensor, Tensor]:
        """Nodes and weights over the part of the unit interval where the density lives."""
        nodes, weights = self._unit_nodes(64)
        low, high = (stop(self.loc + side * self.scale).clamp(0, 1) for side in (-10, 10))
        return low + (high - low) * nodes, (high - low) * weights

    def _moments(self) -> tuple[Tensor, Tensor, Tensor]:
        """The clipped location, and the first two moments about it.

        They hardly cancel, unless the scale is thousands of times wider than the interval.
        """
        centre = stop(self.loc.clamp(0, 1))
        shift, low, high = self.loc - centre, -centre, 1 - centre
        first, last = -self.loc / self.scale, (1 - self.loc) / self.scale

        below, above = ndtr(first), ndtr(-last)
        within = torch.where(first > 0, ndtr(-first) - above, ndtr(last) - below)
        left, right = self.scale * _density(first), self.scale * _density(last)
        mean = low * below + high * above + shift * within + left - right

        square = low.square() * below + high.square() * above
        square = square + (shift.square() + self.scale.square()) * within
        square = square + 2 * shift * (left - right)
        return centre, mean, square + self.scale * (first * left - last * right)


def _density(x: Tensor) -> Tensor:
    return torch.exp(-x.square() / 2) / math.sqrt(2 * math.pi)


def _check(loc: Tensor, scale: Tensor) -> None:
    require(loc.isfinite(), loc, "HardNormal needs a finite loc", "Look for a diverging loss.")
    require(
        (scale > 0) & scale.isfinite(),
        scale,
        "HardNormal needs a finite scale > 0",
        "The paper uses 1/2.",
    )
