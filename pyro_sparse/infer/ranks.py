r"""The processes that train together, under `torchrun` or alone."""

__all__ = ["Ranks"]

from dataclasses import dataclass
from typing import Any

from torch import distributed


@dataclass(frozen=True)
class Ranks:
    r"""This process among those that train together.

    Args:
        index: Number of this process, from 0.
        count: Number of processes.
    """

    index: int = 0
    count: int = 1

    @classmethod
    def current(cls) -> "Ranks":
        r"""What `torch.distributed` says, if it was initialised."""

        if distributed.is_available() and distributed.is_initialized():
            return cls(distributed.get_rank(), distributed.get_world_size())
        return cls()

    @property
    def first(self) -> bool:
        r"""Whether this process is the one that writes."""

        return self.index == 0

    def share(self, value: Any) -> Any:
        r"""The first process's value, on all of them.

        Args:
            value: Anything that pickles.
        """

        if self.count == 1:
            return value

        box = [value]
        distributed.broadcast_object_list(box, src=0)
        return box[0]

    def gather(self, value: Any) -> list[Any]:
        r"""The values of all processes, in their order, on all of them.

        Args:
            value: Anything that pickles.
        """

        if self.count == 1:
            return [value]

        values: list[Any] = [None] * self.count
        distributed.all_gather_object(values, value)
        return values

    def mean(self, numbers: list[float]) -> list[float]:
        r"""Means over the processes.

        Args:
            numbers: Those of this process.
        """

        return [sum(values) / self.count for values in zip(*self.gather(numbers), strict=True)]

    def require_agreement(self, facts: dict[str, Any]) -> None:
        r"""Checks that all processes were given the same.

        Args:
            facts: What to compare, by name.

        Raises:
            ValueError: What differs, and how; raised on all processes.
        """

        everywhere = self.gather(facts)
        for name in facts:
            values = [given.get(name) for given in everywhere]
            if any(value != values[0] for value in values):
                raise ValueError(
                    "All processes train one model on the same settings, and their "
                    f"{name} differs, rank by rank: {_shortened(values)}. Build model, guide and "
                    "settings the same way on each, and let all of them read one checkpoint."
                )


def _shortened(values: list[Any]) -> str:
    return ", ".join(text if len(text) < 80 else f"{text[:77]}..." for text in map(str, values))
