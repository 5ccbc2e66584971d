r"""Everything a program's numbers come from beside its arguments, and whether it has changed.

A compiled graph holds what it was traced with. It may be used again only while nothing around
the program has changed, or what has changed is an input of the graph. `Surroundings` keeps what
can be reached from a program, and says later whether it is still the same.
"""

__all__ = ["Surroundings", "kind"]

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from pyro_sparse.infer.places import SCALARS, Box, Place
from pyro_sparse.infer.reached import reached


class Surroundings:
    r"""What can be reached from a program, as it was when this was made.

    Args:
        *programs: Modules or functions.
    """

    def __init__(self, *programs: Any) -> None:
        self._programs = programs  # kept, so that nothing else gets the identity of one
        boxes = reached(*programs)
        self.tensors = list(_tensors(boxes))
        self._boxes = [(box, _now(box)) for box in boxes if box.live]
        self._live = [iterable for box, _ in self._boxes for iterable in box.live]
        self._held = list(chain.from_iterable(self._live))
        self._ids = [*map(id, self._held)]
        self._released: dict[int, list[Place]] = {}

        strided = {id(t): t for _, t in self.tensors if t.layout is torch.strided}
        self._distinct = list(strided.values())
        self._kinds = [kind(tensor) for tensor in self._distinct]
        self._guards = torch._C._dynamo.guards.TensorGuards(
            *self._distinct, dynamic_dims_sizes=None, dynamic_dims_strides=None
        )

    def place_of(self, tensor: Tensor) -> Place | None:
        r"""Where a tensor is kept, None if it is not around the program."""

        return next((place for place, known in self.tensors if known is tensor), None)

    def release(self, tensors: Sequence[Tensor]) -> None:
        r"""Lets these tensors be replaced by others of the same kind: they are read anew.

        A tensor that is kept in several places is one input, and must be replaced in all.
        """

        self._released = {id(tensor): [] for tensor in tensors}
        for place, tensor in self.tensors:
            if id(tensor) in self._released:
                self._released[id(tensor)].append(place)

    def change(self) -> str | None:
        r"""The path of something that is not what it was, None if all is as it was."""

        # This runs before each step: where nothing changed, no loop here is one of Python's.
        now = [*chain.from_iterable(self._live)]
        if [*map(id, now)] != self._ids:
            path = self._replaced()
            if path is not None:
                return path
            self._held, self._ids = now, [*map(id, now)]
        return None if self._guards.check(*self._distinct) else self._altered()

    def _replaced(self) -> str | None:
        for box, known in self._boxes:
            now = _now(box)
            if len(now) != len(known):
                return box.path
            for index, (new, old) in enumerate(zip(now, known, strict=True)):
                if new is not old and not self._is_as_good(new, old):
                    return box.places[index % len(box.places)].path if box.places else box.path
        return None

    def _is_as_good(self, new: Any, old: Any) -> bool:
        if isinstance(old, Tensor):
            places = self._released.get(id(old), ())
            return _alike(new, old) and bool(places) and all(p.read() is new for p in places)
        return isinstance(old, SCALARS) and type(new) is type(old) and new == old

    def _altered(self) -> str | None:
        """The path of a tensor that is the same object and of another kind."""
        for tensor, known in zip(self._distinct, self._kinds, strict=True):
            if kind(tensor) != known:
                place = self.place_of(tensor)
                assert place is not None
                return place.path
        return None


def _tensors(boxes: Sequence[Box]) -> Iterator[tuple[Place, Tensor]]:
    for place in (place for box in boxes for place in box.places):
        value = place.read()
        if isinstance(value, Tensor):
            yield place, value


def _now(box: Box) -> list[Any]:
    return list(chain.from_iterable(box.live))


def _alike(left: Any, right: Tensor) -> bool:
    return isinstance(left, Tensor) and kind(left) == kind(right)


def kind(tensor: Tensor) -> tuple:
    r"""What a graph is made for: shape, layout, dtype, device, and whether it is trained."""

    strides = tensor.stride() if tensor.layout is torch.strided else tensor.layout
    return tensor.shape, strides, tensor.dtype, tensor.device, tensor.requires_grad
