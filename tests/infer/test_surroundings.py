"""What can be reached from a program, and whether it has changed."""

import functools
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pyro_sparse.infer.surroundings import Surroundings, kind

FACTOR = 2.0


class Program(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.rate = 0.5
        self.table = {"a": [1, 2]}
        self.tensor = torch.ones(2)
        self.inner = functools.partial(torch.add, alpha=3)


def paths(program: Any) -> set[str]:
    return {place.path for place, _ in Surroundings(program).tensors}


def test_tensors_are_found_by_path() -> None:
    assert paths(Program()) == {
        "Program.layer.weight",
        "Program.layer.bias",
        "Program.tensor",
    }


def test_closures_defaults_and_globals_are_found() -> None:
    held = torch.ones(1)

    def program(x: Tensor, shift: Tensor = torch.zeros(1)) -> Tensor:  # noqa: B008
        return FACTOR * x * held + shift

    around = Surroundings(program)
    assert len(around.tensors) == 2
    assert around.place_of(held) is not None

    held = torch.ones(1, 1)
    assert around.change() == "function.held"


def set_rate(program: Program) -> None:
    program.rate = 1.0


def set_integer(program: Program) -> None:
    program.rate = True  # equal to 1 and yet another thing


def append(program: Program) -> None:
    program.table["a"].append(3)


def rebind(program: Program) -> None:
    program.tensor = torch.ones(2)


def replace_layer(program: Program) -> None:
    program.layer = nn.Linear(2, 2)


def evaluate(program: Program) -> None:
    program.eval()


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (set_rate, "Program.rate"),
        (append, "Program.table['a']"),
        (rebind, "Program.tensor"),
        (replace_layer, "Program.layer"),
        (evaluate, "Program.training"),
    ],
)
def test_changes_are_named(change: Callable[[Program], None], path: str) -> None:
    program = Program()
    around = Surroundings(program)
    assert around.change() is None

    change(program)
    found = around.change()
    assert found is not None and found.startswith(path)


def test_equal_numbers_of_another_type_are_a_change() -> None:
    program = Program()
    program.rate = 1.0
    around = Surroundings(program)
    set_integer(program)
    assert around.change() == "Program.rate"


def test_values_may_change_in_place() -> None:
    program = Program()
    around = Surroundings(program)
    program.tensor.fill_(3.0)
    program.load_state_dict(Program().state_dict())
    assert around.change() is None


def test_released_tensors_may_be_replaced_by_their_like() -> None:
    program = Program()
    around = Surroundings(program)
    around.release([program.tensor])
    program.tensor = torch.zeros(2)
    assert around.change() is None
    program.tensor = torch.zeros(3)
    assert around.change() == "Program.tensor"


def test_a_tensor_in_two_places_is_replaced_in_both() -> None:
    program = Program()
    program.table["tensor"] = program.tensor  # type: ignore[assignment]
    around = Surroundings(program)
    around.release([program.tensor])
    program.tensor = torch.zeros(2)
    assert around.change() == "Program.tensor"
    program.table["tensor"] = program.tensor  # type: ignore[assignment]
    assert around.change() is None


def freeze(program: Program) -> None:
    program.layer.weight.requires_grad_(False)


def resize(program: Program) -> None:
    program.layer.weight.data = torch.ones(3, 2)


@pytest.mark.parametrize("alter", [freeze, resize, nn.Module.double])
def test_one_object_of_another_kind_is_a_change(alter: Callable[[Program], Any]) -> None:
    program = Program()
    around = Surroundings(program)
    around.release([program.layer.weight])
    alter(program)
    assert around.change() == "Program.layer.weight"


def test_kind_tells_layouts_apart() -> None:
    square = torch.ones(2, 2)
    assert kind(square) == kind(torch.zeros(2, 2))
    assert kind(square) != kind(torch.ones(2, 2, requires_grad=True))
    assert kind(torch.ones(2, 3).T) != kind(torch.ones(3, 2))


def test_programs_are_kept_while_their_surroundings_are() -> None:
    """Another object at the same address would be taken for them."""
    program: Any = lambda: None  # noqa: E731
    known = weakref.ref(program)
    around = Surroundings(program)
    del program
    assert known() is not None and around.change() is None
