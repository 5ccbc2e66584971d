"""Tests of samples against a law, at a declared failure rate."""

__all__ = ["FAILURE_RATE", "independent", "kolmogorov", "two_sided"]

import math

import torch
from torch import Tensor

FAILURE_RATE = 2e-5
"""Chance that a correct law fails one statistical test; a check may make a few of them."""


def kolmogorov(uniforms: Tensor) -> Tensor:
    """P-value that draws are uniform on the unit interval; smallest over the batch.

    Corrected for the number of batch entries.

    References:
        Evaluating Kolmogorov's Distribution (Marsaglia, Tsang, Wang, 2003),
        https://doi.org/10.18637/jss.v008.i18

    Args:
        uniforms: independent draws, `(n, *batch)`.
    """
    count = uniforms.shape[0]
    ordered = uniforms.reshape(count, -1).sort(0).values
    steps = torch.arange(count + 1, dtype=ordered.dtype).unsqueeze(-1) / count
    distance = torch.maximum(steps[1:] - ordered, ordered - steps[:-1]).amax()

    scaled = distance * (math.sqrt(count) + 0.12 + 0.11 / math.sqrt(count))
    k = torch.arange(1, 101)
    tail = 2 * ((-1.0) ** (k - 1) * torch.exp(-2 * (k * scaled).square())).sum()
    return (tail * ordered.shape[1]).clamp(0, 1)


def two_sided(draws: Tensor, expected: Tensor) -> Tensor:
    """P-value that independent draws have the expected mean; smallest of all.

    Corrected for the number of batch entries. An entry without spread must be met exactly.

    Args:
        draws: of shape `(n, *batch)`.
        expected: the mean, `(*batch)`.
    """
    draws = draws.reshape(draws.shape[0], -1)
    error = (draws.mean(0) - expected.reshape(-1)).abs()
    spread = draws.std(0) / math.sqrt(draws.shape[0])

    z = torch.where(error <= 1e-12, torch.zeros_like(error), error / spread)
    return (torch.special.erfc(z.amax() / math.sqrt(2)) * draws.shape[1]).clamp(0, 1)


def independent(uniforms: Tensor) -> Tensor:
    """P-value that neighbours along each dimension of a batch do not correlate; smallest of all.

    Corrected for the number of pairs. 1 for a batch without neighbours.

    Args:
        uniforms: draws that are independent along the first dimension, `(n, *batch)`.
    """
    centred = math.sqrt(12) * (uniforms - 0.5)
    p_values = []

    for dim in range(1, centred.dim()):
        if (pairs := centred.shape[dim] - 1) > 0:
            products = centred.narrow(dim, 0, pairs) * centred.narrow(dim, 1, pairs)
            p_values.append(two_sided(products, torch.zeros_like(products[0])))

    if not p_values:
        return torch.ones(())
    return (len(p_values) * torch.stack(p_values).amin()).clamp(max=1)
