r"""Whether a training still has numbers in it, and if not, where they went."""

__all__ = ["DivergedError", "finite_numbers", "require_finite", "require_sound"]

import math
import re
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


def require_sound(training: Training, saved: Any = None) -> None:
    r"""Raises if something is not finite that would go into a checkpoint.

    A gradient can spoil the parameters though the loss, which was computed before, is finite.

    Args:
        training: The training, between two steps.
        saved: The last checkpoint, for the message.

    Raises:
        DivergedError: As in `require_finite`.
    """

    spoiled = _named("the parameters", _not_finite(training))
    if spoiled or not _finite(training.sums):
        raise _diverged(training, spoiled or _culprits(training), saved)


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
        if not all(map(_finite, tensors)):
            raise _diverged(training, [*spoiled, "the data of this batch"], saved) from error
        if spoiled or _NUMBERS.search(str(error)):
            raise _diverged(training, spoiled or [_largest(training)], saved) from error
        raise


# What torch says of a law whose parameters are no numbers.
_NUMBERS = re.compile(r"invalid values:.*\b(nan|inf)\b", re.DOTALL)
_REMEDY = (
    "Lower the learning rates, clip the gradient (clip=1.0), warm up more slowly, and look for "
    "data that is not finite."
)
_CLEAN = "Find the examples that hold nan or inf, and leave them out or fill them in."


def _diverged(training: Training, culprits: list[str], saved: Any) -> DivergedError:
    found = f"not finite are {' and '.join(culprits)}" if culprits else "its terms are finite"
    kept = f"The last checkpoint, {saved}, is from before. " if saved else ""
    remedy = _CLEAN if culprits == ["the data of this batch"] else _REMEDY
    return DivergedError(
        f"The loss is not a finite number at step {training.step + 1}, in epoch "
        f"{training.epoch + 1}: {found}. {kept}{remedy}"
    )


def _largest(training: Training) -> str:
    """Finite parameters can be so large that what they give is not."""
    sizes = {name: p.detach().abs().max().item() for name, p in training.parameters.items()}
    name = max(sizes, key=lambda name: sizes[name])
    return f"what comes of the parameters, of which {name} is as large as {sizes[name]:.3g}"


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
