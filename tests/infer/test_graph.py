"""Programs as graphs over everything they read."""

import random

import pytest
import torch
from torch import Tensor, nn

from pyro_sparse.infer.graph import UntraceableError, capture
from pyro_sparse.infer.surroundings import Surroundings


class Shifted(nn.Module):
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.ones(3))
        self.register_buffer("count", torch.zeros(()))
        self.calls = 0

    def forward(self, x: Tensor) -> tuple[Tensor]:
        self.count.add_(1)
        return (x + self.shift + torch.rand(3) * 0,)


def test_what_is_read_becomes_an_input() -> None:
    program, x = Shifted(), torch.zeros(3)
    graph = capture(program, [x], Surroundings(program))
    assert {place.path for place in graph.places if place} == {"Shifted.shift", "Shifted.count"}

    with torch.no_grad():
        program.shift.fill_(5.0)
        (output,) = graph.module(x, *graph.read())
    assert output.tolist() == [5.0, 5.0, 5.0]
    assert program.count == 1  # this run, and not the one that was captured


def test_capturing_draws_nothing_from_the_generator() -> None:
    program = Shifted()
    before = torch.get_rng_state()
    capture(program, [torch.zeros(3)], Surroundings(program))
    assert torch.get_rng_state().equal(before)


def test_state_in_python_is_refused_by_name() -> None:
    class Counting(Shifted):
        def forward(self, x: Tensor) -> tuple[Tensor]:
            self.calls += 1
            return super().forward(x)

    program = Counting()
    with pytest.raises(UntraceableError, match=r"Counting\.calls"):
        capture(program, [torch.zeros(3)], Surroundings(program))


def test_values_in_python_are_refused() -> None:
    def program(x: Tensor) -> tuple[Tensor]:
        return (x if x.sum() > 0 else -x,)

    with pytest.raises(UntraceableError, match="look at values"):
        capture(program, [torch.ones(3)], Surroundings(program))


def test_the_operation_that_cannot_be_captured_is_named() -> None:
    def program(x: Tensor) -> tuple[Tensor]:
        return (torch.nonzero(x) * x.sum().item(),)

    with pytest.raises(UntraceableError, match=r"_local_scalar_dense|nonzero"):
        capture(program, [torch.ones(3)], Surroundings(program))


def test_other_generators_are_refused() -> None:
    def program(x: Tensor) -> tuple[Tensor]:
        return (x * random.random(),)

    before = random.getstate()
    with pytest.raises(UntraceableError, match="generator of python"):
        capture(program, [torch.ones(3)], Surroundings(program))
    assert random.getstate() == before


def test_arguments_are_left_as_they_are() -> None:
    x = torch.ones(3)
    capture(lambda x: (x.add_(1),), [x], Surroundings())
    assert x.tolist() == [1.0, 1.0, 1.0]


def test_a_trained_tensor_that_is_not_found_is_refused() -> None:
    hidden = iter([torch.ones(3, requires_grad=True)])

    def program(x: Tensor) -> tuple[Tensor]:
        return (x * next(hidden),)

    with pytest.raises(UntraceableError, match="attribute of the model"):
        capture(program, [torch.ones(3)], Surroundings(program))
