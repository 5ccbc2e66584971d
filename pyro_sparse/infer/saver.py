r"""When a training writes itself down, and how it is taken up again."""

__all__ = ["Saver"]

import warnings
from pathlib import Path
from time import monotonic

from pyro_sparse.infer.checkpoint import CheckpointWarning, read_checkpoint, write_checkpoint
from pyro_sparse.infer.health import require_sound
from pyro_sparse.infer.training import Training


class Saver:
    r"""Writes a training to a file every so often.

    Only the first process writes. The first write must succeed, so that a wrong path is found
    out at once; a later one that fails is a warning, and the checkpoint before it stays.

    Args:
        path: The file, or None to write nothing.
        seconds: Seconds between two checkpoints.
        epochs: Epochs between two checkpoints, None for seconds only.
    """

    STEPS = 20  # between two looks at the clock where several processes must agree on the time

    def __init__(self, path: Path | None, seconds: float, epochs: int | None) -> None:
        self.path = path
        self.seconds = seconds
        self.epochs = epochs
        self.written: Path | None = None
        self._last = monotonic()

    def resume(self, training: Training, source: Path | bool) -> None:
        r"""Takes a training up from a checkpoint, or else makes sure that one can be written.

        Args:
            training: The training, as yet at its beginning.
            source: The checkpoint; True for this saver's own, if it exists.

        Raises:
            FileExistsError: A checkpoint would be overwritten that nobody asked to continue.
            FileNotFoundError: The named checkpoint does not exist, or there is no folder to write
                one to.
            IsADirectoryError: The checkpoint is a folder.
            ValueError: It is damaged, or belongs to another training.
        """

        if self.path is not None and training.ranks.first:
            _require_place(self.path)
        exists = self.path is not None and self.path.exists()
        if source is True:
            source = self.path if exists and self.path is not None else False
        elif source is False and training.ranks.share(exists):
            raise FileExistsError(
                f"The checkpoint {self.path} exists. Continue it with resume=True, or delete it."
            )

        if isinstance(source, Path):
            training.load_state(read_checkpoint(source), source)
        if self.path is not None:
            self._write(training)

    def after_step(self, training: Training) -> None:
        r"""Writes if it is time.

        Args:
            training: The training, between two steps.
        """

        if self.path is None or (training.ranks.count > 1 and training.step % self.STEPS):
            return
        if training.ranks.share(monotonic() - self._last >= self.seconds):
            self.save(training)

    def after_epoch(self, training: Training, last: bool) -> None:
        r"""Writes if it is time, and at the end.

        Args:
            training: The training, between two epochs.
            last: Whether this was the last epoch.
        """

        if self.path is None:
            return
        if last or (self.epochs and training.epoch % self.epochs == 0):
            self.save(training)

    def save(self, training: Training) -> None:
        r"""Writes now; a disk that is full is a warning.

        Args:
            training: The training.

        Raises:
            DivergedError: There is a number in it that is not finite; the checkpoint before it
                stays.
        """

        require_sound(training, self.written)
        try:
            self._write(training)
        except OSError as error:
            self._last = monotonic()
            warnings.warn(
                f"The checkpoint {self.path} could not be written: {error}. The one before it is "
                "still there, and the training goes on.",
                CheckpointWarning,
                stacklevel=2,
            )

    def _write(self, training: Training) -> None:
        assert self.path is not None
        state = training.state()
        if training.ranks.first:
            write_checkpoint(self.path, state)
        self.written = self.path
        self._last = monotonic()


def _require_place(path: Path) -> None:
    if path.is_dir():
        raise IsADirectoryError(
            f"A checkpoint is a file, and {path} is a folder. Give a file in it."
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"The checkpoint {path} has no folder to be in. Make it: "
            "path.parent.mkdir(parents=True)."
        )
