"""The truncated exponential law."""

__all__ = ["TruncatedExponential"]

from collections.abc import Collection
from typing import ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import constraints

from pyro_sparse.distributions.checks import require, settle, together, validates
from pyro_sparse.distributions.smoothing import Reflection, Smoothing


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
        return self.rate.log() - self.rate * value - torch.log(-torch.expm1(-self.rate))

    def cdf(self, value: Tensor) -> Tensor:
        return torch.expm1(-self.rate * value) / torch.expm1(-self.rate)

    def icdf(self, value: Tensor) -> Tensor:
        return -torch.log1p(value * torch.expm1(-self.rate)) / self.rate

    @property
    def mean(self) -> Tensor:
        return 1 / self.rate + torch.exp(-self.rate) / torch.expm1(-self.rate)

    @property
    def variance(self) -> Tensor:
        spread = self.rate.square().reciprocal()
        return spread - torch.exp(-self.rate) / torch.expm1(-self.rate).square()

    def reflect(self, shape: Size, like: Tensor, moving: Collection[str]) -> Reflection:
        rate, u = self.rate, torch.rand(shape, dtype=like.dtype, device=like.device)
        decay, total = torch.exp(-rate), -torch.expm1(-rate)

        tail = 1 - u * total  # e^(-rate near); back is e^(-rate far)
        back = decay / tail
        near = -torch.log(tail) / rate
        far = 1 - near

        near_slopes, far_slopes = {}, {}
        if "rate" in moving:
            near_slopes["rate"] = (near * tail - u * decay) / total
            far_slopes["rate"] = (far * back - (1 - u * back) * decay) / total

        spread, ratio = total / (rate * tail), back / tail
        return Reflection(near, far, u, u * back, spread, ratio, near_slopes, far_slopes)
