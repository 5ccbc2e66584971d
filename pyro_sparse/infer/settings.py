r"""What the settings of a training mean, and whether they can be meant."""

__all__ = [
    "WARM_UP",
    "build_bound",
    "check_functions",
    "check_settings",
    "examples_of",
    "seed_all",
]

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import pyro
import torch
from pyro.infer import ELBO

from pyro_sparse.infer.batches import Batches, LoaderBatches
from pyro_sparse.infer.elbo import TraceSparse_ELBO
from pyro_sparse.infer.outcomes import length_of
from pyro_sparse.infer.ranks import Ranks
from pyro_sparse.infer.schedules import linear

WARM_UP = (0.0, 0.1)
# Steps. Half a minute of compiling is paid back here if a step then takes 3 ms less: an estimate.
COMPILED_FROM = 10_000


def check_settings(
    epochs: int,
    lr: float,
    gate_lr: float,
    clip: float | None,
    autocast: torch.dtype | None,
    ema: float | None,
    patience: int | None,
    every: float,
    every_epochs: int | None,
) -> None:
    r"""Checks numbers that `fit` was given; the arguments are its own.

    Raises:
        ValueError: One is out of range.
    """

    counts = {"epochs": epochs, "patience": patience, "every_epochs": every_epochs}
    for name, count in counts.items():
        if count is not None and (
            not isinstance(count, int) or isinstance(count, bool) or count < 1
        ):
            raise ValueError(f"{name} is a whole number of at least 1, got {count!r}.")
    for name, number in {"lr": lr, "gate_lr": gate_lr, "clip": clip, "every": every}.items():
        if number is not None and not _is_size(number):
            raise ValueError(f"{name} is finite and not negative, got {number!r}.")
    if ema is not None and not 0 < ema < 1:
        raise ValueError(f"ema is a rate between 0 and 1, got {ema!r}.")
    if autocast not in (None, torch.bfloat16, torch.float16):
        raise ValueError(f"autocast is torch.bfloat16, torch.float16 or None, got {autocast!r}.")


def check_functions(callbacks: Any, scheduled: Any, optimizer: Any) -> None:
    r"""Checks functions that `fit` was given; the arguments are its own.

    Raises:
        TypeError: One is none, or wants to be called in another way.
    """

    if not isinstance(callbacks, Sequence) or not all(map(callable, callbacks)):
        raise TypeError(
            "callbacks is a list of functions of the training, callbacks=[look], got "
            f"{callbacks!r}."
        )
    for name, factor in (scheduled or {}).items():
        if not callable(factor):
            raise TypeError(
                "What is scheduled follows a function of the step, such as "
                f"schedules.constant(0.5), and '{name}' was given {factor!r}."
            )
    if isinstance(optimizer, torch.optim.LBFGS):
        raise TypeError(
            "fit makes a step from one gradient, and LBFGS evaluates the loss again within its "
            "step, on other noise. Give another optimizer, or write the loop by hand."
        )


def seed_all(seed: int | None, ranks: Ranks) -> int:
    r"""Seeds all generators, if there is a seed; returns what decides the order of the data.

    Args:
        seed: The seed, or None to draw one for the order alone.
        ranks: The processes.
    """

    if seed is None:
        order = int(torch.randint(2**31, ()))
        order = ranks.share(order)
        if ranks.count > 1:
            torch.manual_seed(order + ranks.index)
        return order

    # Processes share the order of the data, and have noise of their own.
    pyro.set_rng_seed(seed + ranks.index)
    return seed


def build_bound(
    elbo: ELBO | None, kl_weight: Any, warm_up: Any, steps: int, compile: bool | str = "auto"
) -> ELBO:
    r"""The bound that a user means.

    Args:
        elbo: A bound, or None.
        kl_weight: The weight of the divergences, or a function of the step.
        warm_up: The shares of the training between which it rises.
        steps: Number of steps of the training, 0 if not known.
        compile: Whether it is compiled; "auto" decides by the number of steps.

    Raises:
        TypeError: `elbo` is no bound.
        ValueError: The weights are out of range, or not those of the bound.
    """

    if elbo is not None:
        if not isinstance(elbo, ELBO):
            raise TypeError(
                "The elbo is a bound that was not yet given a model, such as TraceSparse_ELBO(), "
                f"got {type(elbo).__name__}."
            )
        if kl_weight != 1.0 or warm_up not in (None, WARM_UP) or compile != "auto":
            raise ValueError(
                "A bound of your own has a kl_weight and a compile of its own. Give kl_weight, "
                "warm_up and compile to fit without elbo, or TraceSparse_ELBO(kl_weight=..., "
                "compile=...) without them."
            )
        return elbo

    return TraceSparse_ELBO(
        kl_weight=_warmed(kl_weight, warm_up, steps), compile=_compiled(compile, steps)
    )


def _compiled(compile: bool | str, steps: int) -> bool | str:
    if compile == "auto":
        return "auto" if steps >= COMPILED_FROM else False
    return compile


def _warmed(kl_weight: Any, warm_up: Any, steps: int) -> Any:
    if callable(kl_weight):
        return kl_weight
    if not _is_size(kl_weight):
        raise ValueError(
            f"kl_weight is finite and not negative, or a function of the step, got {kl_weight!r}."
        )
    shares = (0.0, 0.0) if warm_up is None else warm_up
    pair = isinstance(shares, Sequence) and len(shares) == 2 and all(map(_is_size, shares))
    if not (pair and shares[0] <= shares[1] <= 1):
        raise ValueError(
            "warm_up is two shares of the training, 0 <= begin <= end <= 1, such as (0.0, 0.1), "
            f"got {warm_up!r}."
        )
    first, last = shares
    if last == 0:
        return float(kl_weight)
    if not steps:
        raise ValueError(
            "The warm-up is a share of the training, and the data does not know its length. Give "
            "warm_up=None, or kl_weight as a function of the step."
        )
    begin, end = first * steps, last * steps
    return linear(0.0, kl_weight, steps=end - begin, delay=begin)


def examples_of(model: Callable, batches: Batches) -> int:
    r"""The number of examples by which a bound is divided, after the model or else the data.

    Args:
        model: The model.
        batches: The data. The rows of a list of batches are counted; a loader that does not know
            its number of examples is a warning, unless the model does.
    """

    size, examples = getattr(model, "num_data", None), batches.examples
    if isinstance(size, int) and examples is not None and size != examples:
        warnings.warn(
            f"The model was made for num_data={size} examples and is trained on {examples}, so "
            "that the weight of its prior is not that of its data.",
            stacklevel=3,
        )
    if isinstance(size, int) and size > 0:
        return size

    listed = isinstance(batches, LoaderBatches) and isinstance(batches.loader, Sequence)
    examples = examples or (_rows(batches) if listed else None)
    if examples is None:
        warnings.warn(
            "The number of examples is not known, so the loss is that of all data and not in nats "
            "an example, and learning rates (but for optimisers like Adam) and `clip` mean "
            "something else. Say it: model.num_data = N.",
            stacklevel=3,
        )
    return examples or 1


def _rows(batches: Batches) -> int | None:
    lengths = [length_of(batch) for batch in batches.epoch(1)]
    return None if None in lengths else sum(length or 0 for length in lengths)


def _is_size(number: Any) -> bool:
    """Whether it is a number that is finite and not negative."""
    try:
        return bool(0 <= number < math.inf)
    except (TypeError, RuntimeError):
        return False
