"""Fixed quadrature nodes."""

__all__ = ["gauss_legendre"]

import math
from functools import lru_cache

import torch
from torch import Tensor


def gauss_legendre(
    count: int, dtype: torch.dtype | None = None, device: torch.device | None = None
) -> tuple[Tensor, Tensor]:
    r"""Nodes and weights of the Gauss-Legendre rule on the unit interval.

    .. math::
        \int_0^1 f(x)\,dx \approx \sum_i w_i f(x_i)

    Exact for polynomials of degree up to `2 * count - 1`.

    References:
        Handbook of Mathematical Functions (Abramowitz, Stegun, 1964), 25.4.29,
        https://dlmf.nist.gov/3.5

    Args:
        count: number of nodes.
        dtype: of the result.
        device: of the result.

    Example:
        >>> nodes, weights = gauss_legendre(4)
        >>> (weights * nodes**7).sum()
        tensor(0.1250)
    """
    nodes, weights = zip(*_rule(count), strict=True)
    return (
        torch.tensor(nodes, dtype=dtype, device=device),
        torch.tensor(weights, dtype=dtype, device=device),
    )


@lru_cache
def _rule(count: int) -> tuple[tuple[float, float], ...]:
    """Roots of the Legendre polynomial by Newton steps, as plain floats."""
    rule = []
    for index in range(count):
        x = math.cos(math.pi * (index + 0.75) / (count + 0.5))
        for _ in range(100):
            value, slope = _legendre(count, x)
            step = value / slope
            x -= step
            if abs(step) < 1e-15:
                break
        _, slope = _legendre(count, x)
        rule.append(((1 - x) / 2, 1 / ((1 - x * x) * slope * slope)))

    return tuple(rule)


def _legendre(count: int, x: float) -> tuple[float, float]:
    previous, value = 1.0, x
    for n in range(2, count + 1):
        previous, value = value, ((2 * n - 1) * x * value - (n - 1) * previous) / n

    return value, count * (x * value - previous) / (x * x - 1)
