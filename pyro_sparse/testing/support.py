"""Where a law lives: the ends of its support, and values inside."""

__all__ = ["bounds", "ends", "values_inside"]

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from pyro_sparse.distributions.checks import require


def bounds(law: Distribution) -> tuple[Tensor, Tensor]:
    """Lower and upper end of the support, infinite where it has none, each `(*batch)`.

    In double precision, and with gradients where the ends depend on parameters.

    Args:
        law: without event dimensions. Raises a `ValueError` if its ends differ within the batch.
    """
    support: Any = law.support
    while hasattr(support, "base_constraint"):
        support = support.base_constraint

    low = _end(law, getattr(support, "lower_bound", -math.inf))
    high = _end(law, getattr(support, "upper_bound", math.inf))
    return low, high


def ends(law: Distribution) -> tuple[float, float]:
    """Lower and upper end of the support as numbers, infinite where it has none."""
    low, high = (end.detach().reshape(-1)[0].item() for end in bounds(law))
    return low, high


def values_inside(law: Distribution) -> Tensor:
    """One value inside the support for each batch entry, different ones, `(*batch)`."""
    low, high = ends(law)
    count = max(law.batch_shape.numel(), 1)
    position = torch.linspace(0.2, 0.7, count, dtype=torch.float64).reshape(law.batch_shape)

    if math.isfinite(low) and math.isfinite(high):
        return low + (high - low) * position

    return low + position if math.isfinite(low) else position


def _end(law: Distribution, value: Tensor | float) -> Tensor:
    end = torch.as_tensor(value, dtype=torch.float64).expand(law.batch_shape)
    first = end.reshape(-1)[0]
    require(
        end == first,
        end,
        f"{type(law).__name__} needs a support with the same ends for the whole batch to be "
        f"checked, here {first.item():g}",
        "Write one row for each support.",
    )
    return end
