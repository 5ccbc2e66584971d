"""What a law must be to be mixed in a gate, or mirrored."""

__all__ = ["require_component"]

import math
from typing import Any

import torch
from torch.distributions import Distribution

from pyro_sparse.distributions.checks import require, require_methods
from pyro_sparse.distributions.gate import has_atoms


def require_component(owner: str, law: Distribution) -> None:
    """Raises unless `law` has a density and a cdf on the unit interval, and no atoms."""
    require_methods(owner, law, "log_prob", "cdf")
    require(
        not has_atoms(law),
        law,
        f"{owner} needs laws without atoms",
        "Give the continuous law, e.g. `TruncatedExponential(8.0)`.",
    )
    support: Any = law.support
    low, high = (getattr(support, f"{end}_bound", math.nan) for end in ("lower", "upper"))
    require(
        torch.as_tensor(low >= 0).all() and torch.as_tensor(high <= 1).all(),
        support,
        f"{owner} needs laws on the unit interval",
        "Give a law such as `Kumaraswamy`, or clip another one with `Rectified`.",
    )
