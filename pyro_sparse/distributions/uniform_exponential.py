"""The truncated exponential law with a share of the uniform one."""

__all__ = ["UniformExponential"]

from collections.abc import Collection
from typing import ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import constraints

from pyro_sparse.distributions.checks import (
    broadcast,
    check_sample,
    require,
    settle,
    together,
    validates,
)
from pyro_sparse.distributions.smoothing import Reflection, Smoothing
from pyro_sparse.distributions.truncated_exponential import TruncatedExponential


class UniformExponential(Smoothing):
    r"""Truncated exponential law mixed with a little of the uniform one, piling up at 0.

    .. math::
        r(z) = (1 - \varepsilon) \frac{\lambda e^{-\lambda z}}{1 - e^{-\lambda}} + \varepsilon

    The uniform share keeps the density away from 0 in the middle of the interval, which bounds
    the implicit gradient of the mixture gate.

    References:
        Undirected Graphical Models as Approximate Posteriors (Vahdat, Andriyash, Macready,
        2020), https://arxiv.org/abs/1901.03440

    Args:
        rate: positive, `(*batch)`.
        uniform: share of the uniform law, in (0, 1), `(*batch)`.

    Example:
        >>> UniformExponential(8.0).mean
        tensor(0.1434)
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {
        "rate": constraints.positive,
        "uniform": constraints.unit_interval,
    }

    def __init__(
        self,
        rate: Tensor | float,
        uniform: Tensor | float = 0.05,
        validate_args: bool | None = None,
    ) -> None:
        self.rate, self.uniform = together(rate, uniform)
        if validates(validate_args):
            require(
                (self.rate > 0) & self.rate.isfinite(),
                self.rate,
                "UniformExponential needs a finite rate > 0",
                "Values from 9 to 40 are usual.",
            )
            require(
                (self.uniform > 0) & (self.uniform < 1),
                self.uniform,
                "UniformExponential needs uniform in (0, 1)",
                "For none, use TruncatedExponential.",
            )

        shapes = {"rate": self.rate.shape, "uniform": self.uniform.shape}
        super().__init__(broadcast("UniformExponential", shapes), validate_args=False)
        settle(self, validate_args)

    def log_prob(self, value: Tensor) -> Tensor:
        check_sample(self, value)

        peak = TruncatedExponential(self.rate, validate_args=False).log_prob(value)
        return torch.logaddexp(torch.log1p(-self.uniform) + peak, self.uniform.log())

    def cdf(self, value: Tensor) -> Tensor:
        value = value.clamp(0, 1)
        peak = TruncatedExponential(self.rate, validate_args=False).cdf(value)
        return peak + self.uniform * (value - peak)

    @property
    def mean(self) -> Tensor:
        peak = TruncatedExponential(self.rate, validate_args=False).mean
        return peak + self.uniform * (0.5 - peak)

    @property
    def variance(self) -> Tensor:
        peak = TruncatedExponential(self.rate, validate_args=False)
        within = peak.variance + self.uniform * (1 / 12 - peak.variance)
        return within + self.uniform * (1 - self.uniform) * (peak.mean - 0.5).square()

    def reflect(self, shape: Size, like: Tensor, moving: Collection[str]) -> Reflection:
        rate, uniform = self.rate, self.uniform
        decay, total = torch.exp(-rate), -torch.expm1(-rate)

        u = torch.rand(shape, dtype=like.dtype, device=like.device)
        flat = torch.rand(shape, dtype=like.dtype, device=like.device) < uniform
        near = torch.where(flat, u, (-torch.log1p(-u * total) / rate).clamp(max=1))
        far = 1 - near

        tail, back = torch.exp(-rate * near), torch.exp(-rate * far)
        near_peak, far_peak_survival = (1 - tail) / total, (back - decay) / total
        near_density = uniform + (1 - uniform) * rate / total * tail
        far_density = uniform + (1 - uniform) * rate / total * back

        near_slopes, far_slopes = {}, {}
        if "rate" in moving:
            weight = (1 - uniform) / total
            near_slopes["rate"] = weight * (near * tail - near_peak * decay)
            far_slopes["rate"] = weight * (far * back - (1 - far_peak_survival) * decay)
        if "uniform" in moving:
            near_slopes["uniform"] = near - near_peak
            far_slopes["uniform"] = far_peak_survival - near

        return Reflection(
            near,
            far,
            near_peak + uniform * (near - near_peak),
            far_peak_survival + uniform * (near - far_peak_survival),
            1 / near_density,
            far_density / near_density,
            near_slopes,
            far_slopes,
        )
