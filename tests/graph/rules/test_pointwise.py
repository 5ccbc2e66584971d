import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyro_sparse.prune.surgery import CompactModule
from tests.prune.nets import assert_same, compacted, widths, zero


class Between(nn.Module):
    """Two convolutions with a function between them."""

    def __init__(self, function: object) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3)
        self.last = nn.LazyConv2d(3, 1)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.function(self.first(x)))  # type: ignore[operator]


def left(function: object, bias: float = 0.7) -> CompactModule:
    """The compact network, of whose four channels 0 and 1 are constant."""
    net = Between(function)
    x = torch.randn(2, 2, 9, 9)
    net(x)
    zero(net.first.weight, [0, 1])
    nn.init.constant_(net.get_parameter("first.bias"), bias)
    return compacted(net, x)


@pytest.mark.parametrize(
    "function",
    [
        torch.sigmoid, F.gelu, F.hardswish, F.softplus, torch.square, lambda x: x.clamp(-1, 0.5),
        lambda x: 1 - x, lambda x: x / 3, lambda x: x + x, lambda x: x * 2 + 1,
        lambda x: F.dropout(x, training=False), lambda x: x.float().contiguous(),
        lambda x: F.leaky_relu(x, 0.3, inplace=True),
    ],
)  # fmt: skip
def test_functions_of_single_numbers(function: object) -> None:
    assert widths(left(function)) == {"first": (2, 2), "last": (2, 3)}


@pytest.mark.parametrize(
    "function",
    [
        nn.MaxPool2d(3, 2, padding=1), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d((2, 3)),
        nn.Upsample(scale_factor=2), nn.ReflectionPad2d(1),
        lambda x: F.max_pool2d(x, 3),
        lambda x: F.avg_pool2d(x, 3, padding=1, count_include_pad=False),
        lambda x: F.interpolate(x, scale_factor=2), lambda x: F.pad(x, (1, 1), value=0.7),
        lambda x: x.mean((2, 3), keepdim=True), lambda x: x.amax(-1, keepdim=True),
    ],
)  # fmt: skip
def test_functions_of_positions(function: object) -> None:
    assert widths(left(function)) == {"first": (2, 2), "last": (2, 3)}


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.pad(x, (1, 1)), lambda x: F.avg_pool2d(x, 3, padding=1),
        lambda x: x.sum(-1, keepdim=True),
    ],
)  # fmt: skip
def test_constants_that_depend_on_the_position_or_their_number_stay(function: object) -> None:
    assert widths(left(function)) == {"first": (2, 4), "last": (4, 3)}
    assert widths(left(function, bias=0.0)) == {"first": (2, 2), "last": (2, 3)}


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.softmax(x, 1), nn.LocalResponseNorm(2), nn.GroupNorm(2, 4),
        lambda x: F.pad(x, (0, 0, 0, 0, 1, -1)), lambda x: x.mean(1, keepdim=True),
        lambda x: x.cumsum(1), lambda x: x.flip(1), lambda x: x.roll(1, 1),
    ],
)  # fmt: skip
def test_functions_that_mix_units_need_all(function: object) -> None:
    assert widths(left(function))["first"] == (2, 4)


def test_infinite_constants_are_not_folded() -> None:
    smaller = left(lambda x: torch.log(x.abs()).clamp(min=-5), bias=0.0)

    assert widths(smaller)["first"] == (2, 4)


def test_noise_is_no_function() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.ReLU(), nn.Linear(4, 2))
    zero(net[0].weight, [0])

    assert widths(compacted(net, torch.randn(5, 3))) == {"0": (3, 3), "3": (3, 2)}


def test_reductions_move_the_axis() -> None:
    class Mean(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(2, 4, 3)
            self.last = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.first(x).mean([2, 3]) + self.first.out_channels)

    net = Mean()
    zero(net.first.weight, [3])

    assert widths(compacted(net, torch.randn(2, 2, 5, 5))) == {"first": (2, 3), "last": (3, 3)}


@pytest.mark.parametrize(
    "pool",
    [
        nn.AvgPool2d(3, 1, 1),
        lambda x: F.avg_pool2d(x, 3, 1, padding=(1, 1)),
        lambda x: F.avg_pool2d(x, 3, ceil_mode=True, divisor_override=9),
    ],
)
def test_averages_at_the_border_of_a_larger_map(pool: object) -> None:
    net = Between(pool)
    # Every window of this example holds as many zeros as every other.
    x = torch.randn(2, 2, 4, 4)
    net(x)
    zero(net.first.weight, [0, 1])
    nn.init.constant_(net.get_parameter("first.bias"), 0.7)

    smaller = compacted(net, x)

    assert_same(net, smaller, torch.randn(2, 2, 7, 7))
