"""Dawson's integral and the divergence from a normal to the log-uniform law."""

__all__ = ["dawson", "dawson_ratio", "log_uniform_kl", "log_uniform_kl_fit"]

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

FIT = 0.63576, 1.87320, 1.48695
EULER = 0.57721566490153286
ORIGIN = 4.0  # the map u -> u / (u + ORIGIN) spreads the bend of both functions over [0, 1)
SWITCH = 40.0  # Poisson series below, asymptotic series above: both exact to rounding here


def log_uniform_kl(u: Tensor) -> Tensor:
    r"""Divergence from a normal to the log-uniform law, up to the constant that makes it 0 at 0.

    .. math::
        \mathrm{KL}(u) = 2 \int_0^{\sqrt u} D(t)\,dt, \qquad u = \frac{\mu^2}{2 \sigma^2},

    with Dawson's integral D. The argument is u and not log alpha = -log(2u), because log
    :math:`\mu^2` has no gradient at :math:`\mu = 0`. Exact to 1e-10 relative in double precision
    and to 1e-6 in single, for every u >= 0; so is the gradient, to 1e-8.

    References:
        Variational Gaussian Dropout is not Bayesian (Hron, Matthews, Ghahramani, 2017),
        https://arxiv.org/abs/1711.02989

    Args:
        u: not negative, any shape.

    Example:
        >>> log_uniform_kl(torch.tensor([0.0, 0.5, 100.0]))
        tensor([0.0000, 0.4267, 3.2818])
    """
    return _LogUniformKL.apply(u)


def log_uniform_kl_fit(ratio: Tensor) -> Tensor:
    r"""The same by the three-constant fit of the paper, as a function of mu / sigma.

    .. math::
        k_1 - k_1 \sigma(k_2 + k_3 \log\alpha) + \tfrac12 \log(1 + 1/\alpha), \qquad
        \log\alpha = -2 \log|\mu / \sigma|

    Off by at most 0.0094, at log alpha = -3.5.

    References:
        Variational Dropout Sparsifies Deep Neural Networks (Molchanov, Ashukha, Vetrov, 2017),
        https://arxiv.org/abs/1701.05369

    Args:
        ratio: mean over standard deviation, any shape.

    Example:
        >>> log_uniform_kl_fit(torch.tensor([0.0, 1.0, -14.14]))
        tensor([0.0000, 0.4312, 3.2857])
    """
    return _LogUniformFit.apply(ratio)[0]


def dawson(x: Tensor) -> Tensor:
    r"""Dawson's integral :math:`D(x) = e^{-x^2} \int_0^x e^{t^2} dt`.

    References:
        Digital Library of Mathematical Functions, 7.2.5, https://dlmf.nist.gov/7.2

    Args:
        x: any shape.

    Example:
        >>> dawson(torch.tensor([0.0, 1.0, 10.0]))
        tensor([0.0000, 0.5381, 0.0503])
    """
    return x * dawson_ratio(x.square())


def dawson_ratio(u: Tensor) -> Tensor:
    r"""Dawson's integral over its argument, :math:`D(\sqrt u) / \sqrt u`, smooth at 0.

    It is the derivative of `log_uniform_kl`.

    References:
        Digital Library of Mathematical Functions, 7.2.5, https://dlmf.nist.gov/7.2

    Args:
        u: not negative, any shape.
    """
    return _chebyshev(_ratio_coefficients(), u) / (1 + 2 * u)


class _LogUniformKL(torch.autograd.Function):
    """Keeps one tensor for the backward pass where autograd would keep forty."""

    generate_vmap_rule = True

    @staticmethod
    def forward(u: Tensor) -> Tensor:
        t = u / (u + ORIGIN)
        return 0.5 * torch.log1p(2 * u) + t.square() * _chebyshev(_kl_coefficients(), u)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (u,) = ctx.saved_tensors
        return grad * dawson_ratio(u)


class _LogUniformFit(torch.autograd.Function):
    """Keeps two tensors for the backward pass, as code by hand would."""

    generate_vmap_rule = True

    @staticmethod
    def forward(ratio: Tensor) -> tuple[Tensor, Tensor]:
        square = ratio.square()
        share = _fit_share(square)
        return torch.log1p(square).mul_(0.5).add_(share, alpha=FIT[0]), share

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(inputs[0], output[1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> Tensor:
        ratio, share = ctx.saved_tensors
        square = ratio.square()
        if torch.is_grad_enabled():  # differentiated once more, which the kept share is not
            return grad * ratio * _fit_slope(square, _fit_share(square))
        return _fit_slope(square, share).mul_(ratio).mul_(grad)


def _fit_share(square: Tensor) -> Tensor:
    log_square = square.clamp(min=torch.finfo(square.dtype).tiny).log()  # minus log alpha
    return log_square.mul_(FIT[2]).sub_(FIT[1]).sigmoid_()


def _fit_slope(square: Tensor, share: Tensor) -> Tensor:
    """The derivative over the ratio of mean and standard deviation, over that ratio."""
    bend = share * (1 - share)
    positive = square.clamp(min=torch.finfo(square.dtype).tiny)
    return torch.addcdiv((1 + square).reciprocal(), bend, positive, value=2 * FIT[0] * FIT[2])


def _chebyshev(coefficients: tuple[float, ...], u: Tensor) -> Tensor:
    """Sums a Chebyshev series in u / (u + ORIGIN) by Clenshaw's recurrence."""
    if u.dtype != torch.float64:
        coefficients = coefficients[:22]

    twice = 2 - 4 * ORIGIN / (u + ORIGIN)
    first, second = torch.zeros_like(u), torch.zeros_like(u)
    for coefficient in reversed(coefficients[1:]):
        first, second = torch.addcmul(coefficient - second, twice, first), first

    return torch.addcmul(coefficients[0] - second, twice / 2, first)


@lru_cache
def _kl_coefficients() -> tuple[float, ...]:
    def remainder(u: float) -> float:
        t = u / (u + ORIGIN)
        return (_series(u)[0] - 0.5 * math.log1p(2 * u)) / t**2

    return _interpolate(remainder)


@lru_cache
def _ratio_coefficients() -> tuple[float, ...]:
    return _interpolate(lambda u: _series(u)[1] * (1 + 2 * u))


def _interpolate(function: Callable[[float], float], count: int = 34) -> tuple[float, ...]:
    """Chebyshev coefficients of a function of u, from its values at the Chebyshev nodes."""
    angles = [math.pi * (k + 0.5) / count for k in range(count)]
    positions = [(1 + math.cos(angle)) / 2 for angle in angles]
    values = [function(ORIGIN * t / (1 - t)) for t in positions]

    pairs = list(zip(values, angles, strict=True))

    sums = [math.fsum(v * math.cos(order * a) for v, a in pairs) for order in range(count)]
    return (sums[0] / count, *(2 * total / count for total in sums[1:]))


def _series(u: float) -> tuple[float, float]:
    r"""The divergence and its derivative at one point, to rounding.

    Below `SWITCH` as expectations over N ~ Poisson(u), every term positive: KL is that of
    :math:`\sum_{k<N} 1/(2k+1)` and the derivative that of 1/(2N+1).
    """
    if u > SWITCH:
        return _asymptotic_series(u)

    kl = ratio = odd_sum = 0.0
    for n in range(400):
        weight = math.exp(n * math.log(u) - u - math.lgamma(n + 1))
        kl += weight * odd_sum
        ratio += weight / (2 * n + 1)
        odd_sum += 1 / (2 * n + 1)

    return kl, ratio


def _asymptotic_series(u: float) -> tuple[float, float]:
    kl, ratio, term = (math.log(4 * u) + EULER) / 2, 0.0, 1 / (2 * u)
    for k in range(1, int(SWITCH)):
        ratio += term
        following = term * (2 * k - 1) / (2 * u)
        kl -= following * u / k
        term = following

    return kl, ratio
