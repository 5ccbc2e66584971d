"""What single values hold."""

import functools
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pyro
import pytest
import torch
from pyro import poutine

from pyro_sparse.infer.places import Place, is_followed
from pyro_sparse.infer.surroundings import Surroundings


class Slotted:
    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 1.0


class Holder:
    def __init__(self, held: Any) -> None:
        self.held = held

    def method(self) -> None: ...


def nothing(*args: Any) -> None: ...


CHANGES: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "set": ({1}, lambda held: held.add(2)),
    "array": (np.ones(2), lambda held: held.fill(4)),
    "dates": (np.array(["2020-01-01"], "M8[D]"), lambda held: held.fill("2021-01-01")),
    "bytes": (bytearray(b"a"), lambda held: held.append(1)),
    "deque": (deque([1]), lambda held: held.append(2)),
    "renamed": ({"a": [1]}, lambda held: held.update(b=held.pop("a"))),
    "slots": (Slotted(), lambda held: setattr(held, "value", 2.0)),
    "new attribute": (Holder(1), lambda held: setattr(held, "other", 2.0)),
    "appended layer": (torch.nn.Sequential(), lambda held: held.append(torch.nn.Tanh())),
    "method": (Holder(1).method, lambda held: setattr(held.__self__, "held", 2)),
    "partial": (functools.partial(nothing, [1]), lambda held: held.args[0].append(2)),
    "messenger": (
        poutine.scale(nothing, scale=1.0),
        lambda h: setattr(h.func.args[0], "scale", 2.0),
    ),
    "conditioned": (
        pyro.condition(nothing, data={"y": torch.ones(1)}),
        lambda h: h.func.args[0].data.clear(),
    ),
}


@pytest.mark.parametrize(("held", "change"), CHANGES.values(), ids=CHANGES.keys())
def test_changes_inside_are_seen(held: Any, change: Callable[[Any], Any]) -> None:
    around = Surroundings(Holder(held))
    assert around.change() is None
    assert around.change() is None
    change(held)
    assert around.change() is not None


def test_installed_code_is_not_followed() -> None:
    assert not any(
        map(is_followed, (torch, torch.relu, torch.Generator(), 1.0, "a", None, pytest))
    )
    assert all(map(is_followed, (Holder, Holder(1), nothing, [1], Holder.method)))


def test_a_place_that_is_gone_reads_as_none() -> None:
    assert Place({}, "a", "somewhere").read() is None
    assert Place([1], 0, "somewhere").read() == 1
