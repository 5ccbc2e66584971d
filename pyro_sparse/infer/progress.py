r"""The progress bar of a training."""

__all__ = ["Progress"]

from time import monotonic
from typing import Any

from pyro_sparse.infer.training import Training


class Progress:
    r"""Shows a training, and looks at its numbers once a second, as a look makes a GPU wait.

    Args:
        training: The training.
        epochs: Number of epochs it will have.
        shown: Whether there is a bar.
    """

    SECONDS = 1.0

    def __init__(self, training: Training, epochs: int, shown: bool) -> None:
        from tqdm import tqdm

        total = epochs * len(training.batches) or None
        shown = shown and training.ranks.first
        self.bar = tqdm(total=total, initial=training.step, unit="step", disable=not shown)
        self.epochs = epochs
        self._next = 0.0

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: Any) -> None:
        self.bar.close()

    def is_time(self) -> bool:
        r"""Whether it is time to look at numbers."""

        due = monotonic() >= self._next
        if due:
            self._next = monotonic() + self.SECONDS
        return due

    def after_step(self) -> None:
        r"""Moves the bar."""

        self.bar.update()

    def after_epoch(self, training: Training) -> None:
        r"""Shows what is known of the last epoch.

        Args:
            training: The training.
        """

        wanted = ("validation_error", "validation_rmse", "nll", "kl", "alive", "size")
        row = {name: training.row.get(name) for name in wanted}
        facts = {name: f"{value:.3g}" for name, value in row.items() if value is not None}
        self.bar.set_description(f"epoch {training.epoch}/{self.epochs}", refresh=False)
        self.bar.set_postfix(facts)
