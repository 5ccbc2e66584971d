"""What is found around a program: code of the user's own, and what that code mentions."""

import sys
import types
from typing import Any

import pytest
from torch import Tensor, nn

from pyro_sparse.infer.surroundings import Surroundings

SCALE = 1.0
own = types.ModuleType("own_settings")
own.scale = own.unmentioned = 1.0  # type: ignore[attr-defined]


class Base(nn.Module):
    beta = 1.0

    @property
    def factor(self) -> float:
        return SCALE


class Program(Base):
    def forward(self, x: Tensor) -> Tensor:
        return x * self.beta * self.factor


class Reads(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * SCALE


def reads_in_lambda(x: Tensor) -> Tensor:
    return (lambda y: y * SCALE)(x)


def reads_module(x: Tensor) -> Tensor:
    return x * own.scale


def imports(x: Tensor) -> Tensor:
    import own_settings  # type: ignore[import-not-found]

    return x * own_settings.scale


def names_nothing(x: Tensor) -> Tensor:
    return x


@pytest.mark.parametrize("program", [Program(), Reads(), reads_in_lambda])
def test_globals_of_methods_properties_and_inner_code(
    program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    around, other = Surroundings(program), Surroundings(names_nothing)
    monkeypatch.setitem(globals(), "SCALE", 5.0)
    assert around.change() == f"{__name__}.SCALE"
    assert other.change() is None


def test_attributes_of_classes_and_their_bases(monkeypatch: pytest.MonkeyPatch) -> None:
    around = Surroundings(Program())
    monkeypatch.setattr(Base, "beta", 5.0)
    assert around.change() == "Base.beta"


@pytest.mark.parametrize("program", [reads_module, imports])
def test_attributes_of_modules_that_are_mentioned(
    program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "own_settings", own)
    around = Surroundings(program)
    monkeypatch.setattr(own, "unmentioned", 5.0)
    assert around.change() is None
    monkeypatch.setattr(own, "scale", 5.0)
    assert around.change() == "own_settings.scale"
