r"""Whether a checkpoint belongs to a training, and how that goes on."""

__all__ = ["compare_rates", "is_prolonged", "require_same"]

import warnings
from typing import Any

from torch.optim import Optimizer


def require_same(saved: dict[str, Any], here: dict[str, Any], path: Any) -> None:
    r"""Checks that a checkpoint was written by the same training.

    Args:
        saved: What identifies the training that wrote it, as dictionaries by name.
        here: What identifies this one.
        path: Where the checkpoint comes from.

    Raises:
        ValueError: What differs.
    """

    for what in here:
        before, now = saved.get(what, {}), here[what]
        different = sorted(
            name for name in before.keys() | now.keys() if before.get(name) != now.get(name)
        )
        if different:
            listed = ", ".join(
                f"{name} ({before.get(name)} there, {now.get(name)} here)"
                for name in different[:3]
            )
            more = f" and {len(different) - 3} more" if len(different) > 3 else ""
            raise ValueError(
                f"{path} was written by another training; its {what} differ: {listed}{more}. "
                "Build model, guide, data and settings as they were, or start afresh."
            )


def compare_rates(saved: list[dict[str, Any]], optimizer: Optimizer, path: Any) -> None:
    r"""Says so where rates that were given now are not those that the training goes on with.

    Args:
        saved: The groups of the optimiser in the checkpoint.
        optimizer: The optimiser.
        path: Where the checkpoint comes from.
    """

    # Where no schedule noted them, what rates began with is not known any more.
    before, now = ([g.get("initial_lr") for g in gs] for gs in (saved, optimizer.param_groups))
    if None not in before + now and before != now:
        warnings.warn(
            f"{path} goes on with the learning rates that it was begun with, {before}, and not "
            f"with {now}. Start afresh to train with others.",
            stacklevel=5,
        )


def is_prolonged(before: dict[str, Any], now: dict[str, Any], reason: str, path: Any) -> bool:
    r"""Whether a training that was stopped is given more to go on; says so where it is not.

    Args:
        before: Its numbers of "epochs" and of "patience" when it was stopped.
        now: The present ones.
        reason: Why it was stopped.
        path: Where the checkpoint comes from.
    """

    before = {**now, **before}
    patience = before["patience"], now["patience"]
    patient = patience[0] is not None and (patience[1] is None or patience[1] > patience[0])
    if patient or now["epochs"] > before["epochs"]:
        return True

    warnings.warn(
        f"The training in {path} was stopped: {reason}. It stays so with epochs={now['epochs']} "
        f"and patience={now['patience']}; more of either continues it.",
        stacklevel=5,
    )
    return False
