r"""Whether a training still has numbers in it, and if not, where they went."""

__all__ = ["DivergedError", "finite_numbers", "require_finite"]

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves

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

    if not math.isfinite(loss):
        raise _diverged(training, _culprits(training), saved)


@contextmanager
def finite_numbers(training: Training, batch: Any, saved: Any = None) -> Iterator[None]:
    r"""Says in the same words what laws say that are given parameters which are not numbers.

    Args:
        training: The training.
        batch: The data that the laws are evaluated on.
        saved: The last checkpoint, for the message.

    Raises:
        DivergedError: As in `require_finite`, in the place of the error of a law.
    """

    try:
        yield
    except ValueError as error:
        spoiled = _named("the parameters", _not_finite(training))
        tensors = [leaf for leaf in tree_leaves(batch) if isinstance(leaf, Tensor)]
        spoiled += [] if all(map(_finite, tensors)) else ["the data of this batch"]
        if not spoiled:
            raise
        raise _diverged(training, spoiled, saved) from error


def _diverged(training: Training, culprits: list[str], saved: Any) -> DivergedError:
    found = f"not finite are {' and '.join(culprits)}" if culprits else "its terms are finite"
    kept = f"The last checkpoint, {saved}, is from before. " if saved else ""
    return DivergedError(
        f"The loss is not a finite number at step {training.step + 1}, in epoch "
        f"{training.epoch + 1}: {found}. {kept}Lower the learning rates, clip the gradient "
        "(clip=1.0), warm up more slowly, and look for data that is not finite."
    )


def _culprits(training: Training) -> list[str]:
    found = _named("the parameters", _not_finite(training))
    parts = getattr(training.elbo, "parts", None)
    if parts is None:
        return found

    sites = [site for site, kl in parts.kl.items() if not _finite(kl)]
    likelihood = [] if _finite(parts.log_likelihood) else ["the log-likelihood"]
    return _named("the divergence of", sites) + likelihood + found


def _named(what: str, names: list[str]) -> list[str]:
    return [f"{what} {', '.join(names)}"] if names else []


def _not_finite(training: Training) -> list[str]:
    return [name for name, p in training.parameters.items() if not _finite(p)]


def _finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(tensor.isfinite().all())
