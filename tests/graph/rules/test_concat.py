from collections.abc import Callable

import torch
from torch import Tensor, nn

from tests.prune.nets import compacted, widths, zero


class Inception(nn.Module):
    def __init__(self, with_input: bool = False) -> None:
        super().__init__()
        self.a = nn.Conv2d(2, 3, 1)
        self.b = nn.Conv2d(2, 4, 1)
        self.last = nn.Conv2d(9 if with_input else 7, 2, 1)
        self.with_input = with_input

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.a(x), *([x] if self.with_input else []), self.b(x)]
        return self.last(torch.cat(tensors=parts, dim=-3))


class Positions(nn.Module):
    """Two sequences, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(3, 4)
        self.b = nn.Linear(3, 4)
        self.last = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.cat([self.a(x), self.b(x)], 1))


class Joined(nn.Module):
    """Two layers, and a way to concatenate what they say."""

    def __init__(self, join: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.a = nn.Linear(3, 4)
        self.b = nn.Linear(3, 4)
        self.last = nn.Linear(8, 2)
        self.join = join

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.join(self.a(x), self.b(x)))


def test_the_name_numpy_has_for_a_dimension() -> None:
    net = Joined(lambda a, b: torch.concatenate((a, b), axis=1))  # type: ignore[call-arg]
    zero(net.a.weight, [0])
    zero(net.last.weight, slice(None), [5, 6])

    assert widths(compacted(net, torch.randn(5, 3))) == {"a": (3, 3), "b": (3, 2), "last": (5, 2)}


def test_lists_that_are_computed_stay_whole() -> None:
    net = Joined(lambda a, b: torch.cat(torch.cat([a, b], 1).chunk(2, 1)[::-1], 1))
    zero(net.a.weight, [0])
    zero(net.b.weight, [0])
    zero(net.last.weight, slice(None), [3])

    assert widths(compacted(net, torch.randn(5, 3)))["a"] == (3, 4)


def test_units_of_all_operands_in_a_row() -> None:
    net = Inception()
    zero(net.a.weight, [0])
    zero(net.last.weight, slice(None), [3, 4])

    found = widths(compacted(net, torch.randn(2, 2, 3, 3)))

    assert found == {"a": (2, 2), "b": (2, 2), "last": (4, 2)}


def test_an_operand_of_which_nothing_is_left_is_dropped() -> None:
    net = Inception()
    zero(net.a.weight)

    smaller = compacted(net, torch.randn(2, 2, 3, 3))

    assert widths(smaller) == {"b": (2, 4), "last": (4, 2)}
    assert smaller.plan.operands == {"cat": [1]}


def test_an_operand_that_cannot_shrink_stays_whole() -> None:
    net = Inception(with_input=True)
    zero(net.last.weight, slice(None), [0, 3, 5, 6])

    x = torch.randn(2, 2, 3, 3)

    assert widths(compacted(net, x))["last"] == (5, 2)
    found = widths(compacted(net, x, gather=False))
    assert found == {"a": (2, 2), "b": (2, 2), "last": (6, 2)}


def test_along_positions_units_share_one_fate() -> None:
    net = Positions()
    zero(net.a.weight, [0, 1])
    zero(net.b.weight, [0, 1])
    zero(net.a.bias, [0])
    zero(net.b.bias, [0])

    smaller = compacted(net, torch.randn(2, 5, 3))

    # Unit 1 has two values, one for each half.
    assert widths(smaller) == {"a": (3, 3), "b": (3, 3), "last": (3, 2)}
