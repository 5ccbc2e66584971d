"""The standard normal law between two bounds, in either tail."""

__all__ = ["log1mexp", "log_ndtr_difference", "log_ndtr_tail", "ndtr", "ndtri_between"]

import math

import torch
from torch import Tensor
from torch.special import erfc, erfcx, log_ndtr, ndtri

ROOT_TWO = math.sqrt(2)
FAR = -30.0  # Phi is 5e-198 here, and leaves the range of double precision below -37


def ndtr(x: Tensor) -> Tensor:
    r"""Cdf of the standard normal, to full relative precision in the lower tail as well.

    Torch's own, computed as (1 + erf) / 2, is 0 below -6 in single precision.

    References:
        Digital Library of Mathematical Functions, 7.2, https://dlmf.nist.gov/7.2

    Args:
        x: any shape.

    Example:
        >>> ndtr(torch.tensor([-10.0, 0.0]))
        tensor([7.6199e-24, 5.0000e-01])
    """
    return erfc(-x / ROOT_TWO) / 2


def log1mexp(x: Tensor) -> Tensor:
    r"""Computes :math:`\log(1 - e^x)` without cancellation.

    References:
        Accurately Computing log(1 - exp(-|a|)) (Maechler, 2012),
        https://cran.r-project.org/web/packages/Rmpfr/vignettes/log1mexp-note.pdf

    Args:
        x: negative, any shape.

    Example:
        >>> log1mexp(torch.tensor([-1e-3, -1.0, -50.0]))
        tensor([-6.9083e+00, -4.5868e-01, -1.9287e-22])
    """
    near = x > -math.log(2)
    small = torch.where(near, x, torch.full_like(x, -0.1))
    large = torch.where(near, torch.full_like(x, -1.0), x)
    return torch.where(near, torch.log(-torch.expm1(small)), torch.log1p(-torch.exp(large)))


def log_ndtr_difference(low: Tensor, high: Tensor) -> Tensor:
    r"""Log probability of a standard normal between two bounds, in either tail.

    .. math::
        \log(\Phi(\mathrm{high}) - \Phi(\mathrm{low}))

    References:
        Digital Library of Mathematical Functions, 7.2, https://dlmf.nist.gov/7.2

    Args:
        low: any shape.
        high: greater than `low`.

    Example:
        >>> log_ndtr_difference(torch.tensor([-1.0, 30.0]), torch.tensor([1.0, 31.0]))
        tensor([-3.8172e-01, -4.5432e+02])
    """
    low, high = torch.where(low > 0, -high, low), torch.where(low > 0, -low, high)
    top = log_ndtr(high)
    return top + log1mexp(log_ndtr(low) - top)


def log_ndtr_tail(low: Tensor, high: Tensor) -> Tensor:
    r"""The same in the lower tail, without the exponential decay that underflows.

    .. math::
        \log\left( e^{\mathrm{high}^2 / 2} (\Phi(\mathrm{high}) - \Phi(\mathrm{low})) \right)

    References:
        Digital Library of Mathematical Functions, 7.2, https://dlmf.nist.gov/7.2

    Args:
        low: any shape.
        high: greater than `low` and not positive.
    """
    decay = torch.exp((high - low) * (high + low) / 2)
    return torch.log((erfcx(-high / ROOT_TWO) - decay * erfcx(-low / ROOT_TWO)) / 2)


def ndtri_between(u: Tensor, low: Tensor, high: Tensor) -> Tensor:
    r"""Quantile of a standard normal truncated to two bounds, in either tail.

    .. math::
        \Phi^{-1}\left( (1 - u) \Phi(\mathrm{low}) + u \Phi(\mathrm{high}) \right)

    Carries no gradient.

    References:
        Simulation of Truncated Normal Variables (Robert, 1995),
        https://doi.org/10.1007/BF00143942

    Args:
        u: in (0, 1), broadcastable.
        low: any shape that `u` goes with; what depends on it alone is computed in this shape.
        high: greater than `low`.
    """
    u, low, high = u.detach(), low.detach(), high.detach()
    flip = low > 0
    below, above = torch.where(flip, -high, low), torch.where(flip, -low, high)
    share = torch.where(flip, 1 - u, u)

    far = _far_quantile(share, below, above.clamp(max=FAR))
    x = torch.where(above <= FAR, far, _near_quantile(share, below, above))
    x = torch.minimum(torch.maximum(x, below), above)
    return torch.where(flip, -x, x)


def _near_quantile(u: Tensor, low: Tensor, high: Tensor) -> Tensor:
    left = (1 - u) * ndtr(low) + u * ndtr(high)
    right = (1 - u) * ndtr(-low) + u * ndtr(-high)
    return torch.where(left < 0.5, ndtri(left), -ndtri(right))


def _far_quantile(u: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Newton steps on log Phi, as a function of the distance below `high`, from the far side.

    Log Phi is concave, so they approach the root from that side and never overshoot. It is all
    but linear out there, so that three of them leave a relative error of 1e-11.
    """
    ratio = torch.exp(log_ndtr(low) - log_ndtr(high))
    target = torch.log(u + (1 - u) * ratio)

    edge = erfcx(-high / ROOT_TWO)
    by_slope = -target * edge * math.sqrt(math.pi / 2)
    by_square = -2 * target / (torch.sqrt(high.square() - 2 * target) - high)
    distance = torch.minimum(by_slope, by_square)

    for _ in range(3):
        scaled = erfcx((distance - high) / ROOT_TWO)
        height = distance * (2 * high - distance) / 2 + torch.log(scaled / edge)
        distance = distance + (height - target) * scaled * math.sqrt(math.pi / 2)

    return high - distance.clamp(min=0)
