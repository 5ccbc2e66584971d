r"""Whether a training still has numbers in it, and if not, where they went."""

__all__ = ["DivergedError", "require_finite"]

import math
from typing import Any

from torch import Tensor

from pyro_sparse.infer.training import Training


class DivergedError(ArithmeticError):
    r"""A training arrived at a loss that is not a number."""


def require_finite(training: Training, loss: float, saved: Any = None) -> None:
    r"""Raises if a loss is infinite or not a number.

    Args:
        training: The training.
        loss: A loss, or any number that is not finite where a loss was not.
        saved: The last checkpoint, for the message.

    Raises:
        DivergedError: Names the step, and the sites and parameters that are not finite.
    """

    if math.isfinite(loss):
        return

    kept = f"The last checkpoint, {saved}, is from before. " if saved else ""
    raise DivergedError(
        f"The loss is {loss} at step {training.step + 1}, in epoch {training.epoch + 1}: "
        f"{_culprits(training)}. {kept}Lower the learning rates, clip the gradient (clip=1.0), "
        "warm up more slowly, and look for data that is not finite."
    )


def _culprits(training: Training) -> str:
    parts = getattr(training.elbo, "parts", None)
    named = {}
    if parts is not None:
        sites = [site for site, kl in parts.kl.items() if not _finite(kl)]
        named["the divergence of"] = sites
        named["the"] = [] if _finite(parts.log_likelihood) else ["log-likelihood"]
    named["the parameters"] = [n for n, p in training.parameters.items() if not _finite(p)]

    found = [f"{what} {', '.join(names)}" for what, names in named.items() if names]
    return " and ".join(found) + " not finite" if found else "its terms are finite one by one"


def _finite(tensor: Tensor) -> bool:
    return bool(tensor.isfinite().all())
