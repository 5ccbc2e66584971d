"""The truncated log-normal law of structured Bayesian pruning."""

__all__ = ["TruncatedLogNormal"]

import math
from typing import ClassVar

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints

from pyro_sparse.distributions.checks import (
    Shape,
    broadcast,
    check_sample,
    require,
    settle,
    together,
    validates,
)
from pyro_sparse.distributions.implicit import attach, stop
from pyro_sparse.special import log_ndtr_difference, log_ndtr_tail, ndtri_between

ROOT_TWO_PI = math.sqrt(2 * math.pi)
LOG_ROOT_TWO_PI_E = math.log(2 * math.pi * math.e) / 2
SMALLEST_SPREAD = 1e-15  # below it the second moments of double precision are rounding


class TruncatedLogNormal(TorchDistribution):
    r"""Log-normal law truncated to an interval, the multiplicative noise of a unit.

    .. math::
        \log\theta \sim N(\mathrm{loc}, \mathrm{scale}^2) \text{ given }
        \mathrm{low} \le \log\theta \le \mathrm{high}

    For the multiplicative noise of units and channels under a `TruncatedLogUniform` prior. Never
    exactly 0: a unit is removed where the signal-to-noise ratio `snr` falls to 1. All numbers are
    computed in double precision, and from the near end of the interval where the normal lies far
    outside of it.

    References:
        Structured Bayesian Pruning via Log-Normal Multiplicative Noise (Neklyudov, Molchanov,
        Ashukha, Vetrov, 2017), https://arxiv.org/abs/1705.07283

    Args:
        loc: mean of the untruncated logarithm, `(*batch)`.
        scale: its positive standard deviation, `(*batch)`.
        low: lower end of the logarithm.
        high: upper end of the logarithm.

    Example:
        >>> law = TruncatedLogNormal(torch.tensor([0.0, -3.0]), torch.tensor([0.1, 2.0]))
        >>> law.mean
        tensor([0.9250, 0.1216])
        >>> law.snr
        tensor([17.0788,  0.6560])
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    has_atoms = False
    has_rsample = True

    def __init__(
        self,
        loc: Tensor | float,
        scale: Tensor | float,
        low: float = -20.0,
        high: float = 0.0,
        validate_args: bool | None = None,
    ) -> None:
        self.loc, self.scale = together(loc, scale)
        self.low, self.high = low, high
        if validates(validate_args):
            _check(self.loc, self.scale, low, high)

        shapes = {"loc": self.loc.shape, "scale": self.scale.shape}
        super().__init__(broadcast("TruncatedLogNormal", shapes), validate_args=False)
        settle(self, validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> constraints.Constraint:
        """The interval of theta itself."""
        return constraints.interval(math.exp(self.low), math.exp(self.high))

    def expand(self, batch_shape: Shape, _instance: object = None) -> "TruncatedLogNormal":
        new = self._get_checked_instance(TruncatedLogNormal, _instance)
        batch_shape = torch.Size(batch_shape)

        new.loc, new.scale = self.loc.expand(batch_shape), self.scale.expand(batch_shape)
        new.low, new.high = self.low, self.high

        super(TruncatedLogNormal, new).__init__(batch_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def log_prob(self, value: Tensor) -> Tensor:
        check_sample(self, value)

        low, high = self._ends()
        logarithm = value.double().log()
        x = (logarithm - self.loc) / self.scale
        constant = self.scale.double().log() + math.log(2 * math.pi) / 2
        log_prob = -x.square() / 2 - constant - logarithm - log_ndtr_difference(low, high)
        return log_prob.to(self.loc.dtype)

    def cdf(self, value: Tensor) -> Tensor:
        low, high = self._ends()
        x = (value.double().clamp(min=0).log() - self.loc) / self.scale
        inside = torch.maximum(x, low + 1e-12)
        share = torch.exp(log_ndtr_difference(low, inside) - log_ndtr_difference(low, high))
        return share.clamp(max=1).to(self.loc.dtype)

    def icdf(self, value: Tensor) -> Tensor:
        """Quantile, without gradient."""
        x = ndtri_between(value.double(), *self._ends())
        return self._from_standard(x).exp().to(self.loc.dtype)

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        u = torch.rand(shape, dtype=torch.float64, device=self.loc.device)
        u = u.clamp(1e-16, 1 - 1e-16)
        low, high = (stop(end) for end in self._ends())
        x = ndtri_between(u, low, high)

        # At a fixed u, phi(x) dx = (1 - u) phi(low) dlow + u phi(high) dhigh.
        from_low = (1 - u) * torch.exp((x - low) * (x + low) / 2)
        from_high = u * torch.exp((x - high) * (x + high) / 2)
        by_loc = 1 - from_low - from_high
        by_scale = x - from_low * low - from_high * high

        dtype = self.loc.dtype
        logarithm = stop(self._from_standard(x)).to(dtype)
        logarithm = attach(logarithm, by_loc.to(dtype), self.loc)
        value = attach(logarithm, by_scale.to(dtype), self.scale).exp()
        return value.clamp(math.exp(self.low), math.exp(self.high))

    @property
    def mean(self) -> Tensor:
        """Expectation of theta, `(*batch)`."""
        return self._double_mean().to(self.loc.dtype)

    @property
    def variance(self) -> Tensor:
        """Variance of theta, `(*batch)`."""
        variance = self._double_mean().square() * torch.expm1(self._log_spread())
        return variance.to(self.loc.dtype)

    @property
    def snr(self) -> Tensor:
        """Mean over standard deviation of theta, `(*batch)`; rounded above 1e6, at most 3e7."""
        return torch.expm1(self._log_spread()).rsqrt().to(self.loc.dtype)

    @property
    def log_entropy(self) -> Tensor:
        r"""Entropy of log theta, `(*batch)`.

        .. math::
            \tfrac12 \log(2 \pi e) + \log\sigma + \log Z
            + \frac{\alpha\phi(\alpha) - \beta\phi(\beta)}{2 Z}
        """
        low, high = self._ends()
        flip = low > 0
        first, last = torch.where(flip, -high, low), torch.where(flip, -low, high)

        edge = torch.where(last <= 0, last, torch.zeros_like(last))
        log_mass = _log_mass(first, last, edge)
        # Z carries the factor exp(-edge^2 / 2), which the densities at the ends must carry too.
        at_first, at_last = (
            end * torch.exp((edge.square() - end.square()) / 2 - log_mass) / ROOT_TWO_PI
            for end in (first, last)
        )
        entropy = log_mass - edge.square() / 2 + (at_first - at_last) / 2
        return (entropy + self.scale.double().log() + LOG_ROOT_TWO_PI_E).to(self.loc.dtype)

    def _ends(self) -> tuple[Tensor, Tensor]:
        loc, scale = self.loc.double(), self.scale.double()
        return (self.low - loc) / scale, (self.high - loc) / scale

    def _from_standard(self, x: Tensor) -> Tensor:
        logarithm = self.loc.double() + self.scale.double() * x
        return logarithm.clamp(self.low, self.high)

    def _double_mean(self) -> Tensor:
        reference, zeroth, first, _ = self._log_moments()
        return torch.exp(reference + first - zeroth)

    def _log_spread(self) -> Tensor:
        r"""Log of :math:`E\theta^2 / (E\theta)^2`."""
        _, zeroth, first, second = self._log_moments()
        return (second - 2 * first + zeroth).clamp(min=SMALLEST_SPREAD)

    def _log_moments(self) -> tuple[Tensor, ...]:
        r"""A reference r, then :math:`\log E[\theta^k] - k r` for k = 0, 1, 2, up to one constant.

        The reference is the end of the interval next to the bulk of the normal, or the bulk
        itself where it lies inside; around it nothing large is left to cancel.
        """
        low, high = self._ends()
        loc, scale = self.loc.double(), self.scale.double()
        inside = torch.where(low >= 0, torch.full_like(low, self.low), loc.expand(low.shape))
        reference = torch.where(high <= 0, torch.full_like(low, self.high), inside)

        moments = []
        for order in range(3):
            shift = order * scale
            edge = (reference - loc) / scale - shift
            moments.append(_log_mass(low - shift, high - shift, edge))

        return reference, *moments


def _log_mass(low: Tensor, high: Tensor, edge: Tensor) -> Tensor:
    r"""Log of :math:`e^{\mathrm{edge}^2 / 2} (\Phi(\mathrm{high}) - \Phi(\mathrm{low}))`.

    Where the edge is an end of the interval in a tail, the exponential cancels on paper.
    """
    upper, lower = (edge == high) & (high <= 0), (edge == low) & (low >= 0)
    tail = upper | lower
    below = torch.where(upper, low, torch.where(lower, -high, torch.full_like(low, -2.0)))
    above = torch.where(upper, high, torch.where(lower, -low, torch.full_like(low, -1.0)))

    first, last = torch.where(tail, -1.0, low), torch.where(tail, 1.0, high)
    direct = edge.square() / 2 + log_ndtr_difference(first, last)
    return torch.where(tail, log_ndtr_tail(below, above), direct)


def _check(loc: Tensor, scale: Tensor, low: float, high: float) -> None:
    law = "TruncatedLogNormal"
    require(loc.isfinite(), loc, f"{law} needs a finite loc", "Look for a diverging loss.")
    positive = (scale > 0) & scale.isfinite()
    require(positive, scale, f"{law} needs a finite scale > 0", "The paper starts from exp(-5).")
    require(
        -math.inf < low < high < math.inf,
        (low, high),
        f"{law} needs finite low < high",
        "The paper uses -20 and 0.",
    )
