"""The power-function law."""

__all__ = ["PowerFunction"]

from collections.abc import Collection
from typing import ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import constraints

from pyro_sparse.distributions.checks import check_sample, require, settle, together, validates
from pyro_sparse.distributions.smoothing import Reflection, Smoothing


class PowerFunction(Smoothing):
    r"""Power-function law, the law of :math:`u^\beta`, with an infinite density at 0.

    .. math::
        r(z) = \frac{1}{\beta} z^{1/\beta - 1}, \qquad R(z) = z^{1/\beta}

    Larger exponents are closer to a coin. Most draws of its mirror image round to 1 in single
    precision, so gradients are computed from logarithms and from the distance to 1.

    References:
        DVAE++: Discrete Variational Autoencoders with Overlapping Transformations (Vahdat,
        Macready, Bian, Khoshaman, Andriyash, 2018), https://arxiv.org/abs/1802.04920

    Args:
        beta: exponent, positive, `(*batch)`; above 1 the law piles up at 0.

    Example:
        >>> PowerFunction(19.0).mean
        tensor(0.0500)
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {"beta": constraints.positive}

    def __init__(self, beta: Tensor | float, validate_args: bool | None = None) -> None:
        (self.beta,) = together(beta)
        if validates(validate_args):
            require(
                (self.beta > 0) & self.beta.isfinite(),
                self.beta,
                "PowerFunction needs a finite beta > 0",
                "Values from 10 to 80 are usual.",
            )

        super().__init__(self.beta.shape, validate_args=False)
        settle(self, validate_args)

    def log_prob(self, value: Tensor) -> Tensor:
        check_sample(self, value)

        return torch.xlogy(1 / self.beta - 1, value) - self.beta.log()

    def cdf(self, value: Tensor) -> Tensor:
        return value.clamp(0, 1).pow(1 / self.beta)

    def icdf(self, value: Tensor) -> Tensor:
        return value.pow(self.beta)

    @property
    def mean(self) -> Tensor:
        return 1 / (1 + self.beta)

    @property
    def variance(self) -> Tensor:
        return (self.beta * self.mean).square() / (1 + 2 * self.beta)

    def reflect(self, shape: Size, like: Tensor, moving: Collection[str]) -> Reflection:
        beta, u = self.beta, torch.rand(shape, dtype=like.dtype, device=like.device)
        u = u.clamp(min=torch.finfo(u.dtype).tiny)

        log_near = beta * u.log()
        near, far = torch.exp(log_near), -torch.expm1(log_near)
        log_far = torch.log(far)
        far_survival = -torch.expm1(log_far / beta)
        spread = beta * near / u
        ratio = (1 - far_survival) / far * (near / u)

        near_slopes, far_slopes = {}, {}
        if "beta" in moving:
            near_slopes["beta"] = -u * log_near / beta.square()
            far_slopes["beta"] = -(1 - far_survival) * log_far / beta.square()

        return Reflection(near, far, u, far_survival, spread, ratio, near_slopes, far_slopes)
