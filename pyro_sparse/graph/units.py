"""What is known of the units along one axis of a tensor, and which units share one fate."""

__all__ = ["Classes", "Units"]

from dataclasses import dataclass

import torch
from torch import Size, Tensor


@dataclass
class Units:
    """The units along one axis of an intermediate result: channels, features.

    Attributes:
        axis: the axis, counted from the right (negative), so that broadcasting does not move it.
        labels: `(n,)`, the class of each unit; units of one class stay or go together.
        constant: `(n,)`, whether a unit has the same value for every input and at every position.
        value: `(n,)`, that value; meaningless where `constant` is false.
    """

    axis: int
    labels: Tensor
    constant: Tensor
    value: Tensor

    @classmethod
    def varying(cls, axis: int, labels: Tensor) -> "Units":
        """Units of which nothing is known."""
        none = torch.zeros(len(labels), dtype=torch.bool)
        return cls(axis, labels, none, torch.zeros(len(labels)))

    def __len__(self) -> int:
        return len(self.labels)

    def with_values(self, constant: Tensor, value: Tensor, axis: int | None = None) -> "Units":
        """The same units with other values, on the same or another axis."""
        # An infinite or undefined value cannot be folded into anything.
        constant = constant & value.isfinite()
        value = torch.where(constant, value, torch.zeros_like(value)).double()
        return Units(self.axis if axis is None else axis, self.labels, constant, value)

    def take(self, positions: Tensor, axis: int) -> "Units":
        """The units at these positions, along another axis."""
        facts = (self.labels, self.constant, self.value)
        return Units(axis, *(fact[positions] for fact in facts))

    def spread(self, vector: Tensor, shape: Size) -> Tensor:
        """A vector with one entry a unit, repeated over the other axes of `shape`."""
        return vector.reshape(-1, *(1 for _ in range(-self.axis - 1))).expand(shape)


class Classes:
    """Disjoint sets of labels: units that must be kept or removed together."""

    def __init__(self) -> None:
        self._parents: list[int] = []

    def __len__(self) -> int:
        return len(self._parents)

    def fresh(self, count: int) -> Tensor:
        """Labels nobody else has."""
        first = len(self._parents)
        self._parents.extend(range(first, first + count))
        return torch.arange(first, first + count)

    def unite(self, left: Tensor, right: Tensor) -> None:
        """Puts the two labels at each position into one class."""
        for a, b in zip(left.tolist(), right.tolist(), strict=True):
            self._parents[self._root(b)] = self._root(a)

    def roots(self, labels: Tensor) -> Tensor:
        """One representative of the class of each label."""
        return torch.tensor([self._root(label) for label in labels.tolist()], dtype=torch.long)

    def _root(self, label: int) -> int:
        while self._parents[label] != label:
            self._parents[label] = self._parents[self._parents[label]]
            label = self._parents[label]

        return label
