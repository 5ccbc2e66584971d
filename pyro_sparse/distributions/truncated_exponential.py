"""The truncated exponential law."""

__all__ = ["TruncatedExponential"]

from collections.abc import Collection
from typing import ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import constraints

from pyro_sparse.distributions.checks import check_sample, require, settle, together, validates
from pyro_sparse.distributions.smoothing import Reflection, Smoothing

FLAT = 0.5  # below this rate, moments are power series of coth x - 1/x


class TruncatedExponential(Smoothing):
    r"""Exponential law truncated to the unit interval, piling up at 0.

    .. math::
        r(z) = \frac{\lambda e^{-\lambda z}}{1 - e^{-\lambda}}

    The component whose mixture gate has a closed inverse cdf. Larger rates are closer to a coin
    and give noisier gradients.

    References:
        DVAE++: Discrete Variational Autoencoders with Overlapping Transformations (Vahdat,
        Macready, Bian, Khoshaman, Andriyash, 2018), https://arxiv.org/abs/1802.04920

    Args:
        rate: positive, `(*batch)`.

    Example:
        >>> TruncatedExponential(8.0).mean
        tensor(0.1247)
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {"rate": constraints.positive}

    def __init__(self, rate: Tensor | float, validate_args: bool | None = None) -> None:
        (self.rate,) = together(rate)
        if validates(validate_args):
            require(
                (self.rate > 0) & self.rate.isfinite(),
                self.rate,
                "TruncatedExponential needs a finite rate > 0",
                "Values from 8 to 15 are usual.",
            )

        super().__init__(self.rate.shape, validate_args=False)
        settle(self, validate_args)

    def log_prob(self, value: Tensor) -> Tensor:
        check_sample(self, value)

        return self.rate.log() - self.rate * value - torch.log(-torch.expm1(-self.rate))

    def cdf(self, value: Tensor) -> Tensor:
        return torch.expm1(-self.rate * value.clamp(0, 1)) / torch.expm1(-self.rate)

    def icdf(self, value: Tensor) -> Tensor:
        return -torch.log1p(value * torch.expm1(-self.rate)) / self.rate

    @property
    def mean(self) -> Tensor:
        flat, steep, half_square = self._flat_and_steep()
        series = _polynomial(half_square, 1 / 6, -1 / 90, 1 / 945, -1 / 9450, 1 / 93555)
        closed = 1 / steep + torch.exp(-steep) / torch.expm1(-steep)
        return torch.where(flat, 0.5 - series * self.rate / 2, closed)

    @property
    def variance(self) -> Tensor:
        flat, steep, half_square = self._flat_and_steep()
        series = _polynomial(half_square, 1 / 12, -1 / 60, 1 / 378, -1 / 2700, 1 / 20790)
        closed = steep.square().reciprocal() - torch.exp(-steep) / torch.expm1(-steep).square()
        return torch.where(flat, series, closed)

    def reflect(self, shape: Size, like: Tensor, moving: Collection[str]) -> Reflection:
        rate, u = self.rate, torch.rand(shape, dtype=like.dtype, device=like.device)
        decay, total = torch.exp(-rate), -torch.expm1(-rate)

        tail = 1 - u * total  # e^(-rate near); back is e^(-rate far)
        back = decay / tail
        near = (-torch.log1p(-u * total) / rate).clamp(max=1)
        far = 1 - near

        near_slopes, far_slopes = {}, {}
        if "rate" in moving:
            near_slopes["rate"] = (near * tail - u * decay) / total
            far_slopes["rate"] = (far * back - (1 - u * back) * decay) / total

        spread, ratio = total / (rate * tail), back / tail
        return Reflection(near, far, u, u * back, spread, ratio, near_slopes, far_slopes)

    def _flat_and_steep(self) -> tuple[Tensor, Tensor, Tensor]:
        """Where the law is so flat that closed forms cancel, rates elsewhere, (rate / 2)^2."""
        flat = self.rate < FLAT
        return flat, torch.where(flat, torch.ones_like(self.rate), self.rate), (self.rate / 2) ** 2


def _polynomial(x: Tensor, *coefficients: float) -> Tensor:
    total = torch.zeros_like(x)
    for coefficient in reversed(coefficients):
        total = total * x + coefficient
    return total
