import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.prune.nets import compacted, widths, zero


class Functional(nn.Module):
    """Layers as functions of parameters."""

    def __init__(self, bias: bool = True) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(4, 2, 3))
        self.shift = nn.Parameter(torch.randn(4)) if bias else None
        self.weight = nn.Parameter(torch.randn(3, 8))

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(F.conv1d(x, self.kernel, self.shift)).flatten(1)
        return F.linear(h, weight=self.weight)


def stack(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(*layers)


def test_a_dead_row_cascades_forward() -> None:
    net = stack(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 2))
    zero(net[0].weight, [0])
    zero(net[2].weight, [1, 2], [1])

    # Rows 1 and 2 of the second layer read only unit 0, which is constant.
    assert widths(compacted(net, torch.randn(4, 3))) == {"0": (3, 1), "2": (1, 2), "4": (2, 2)}


def test_a_dead_column_cascades_backward() -> None:
    net = stack(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 2))
    zero(net[4].weight, slice(None), [0, 1, 2])
    zero(net[2].weight, [3], [0])

    assert widths(compacted(net, torch.randn(4, 3))) == {"0": (3, 1), "2": (1, 1), "4": (1, 2)}


def test_a_bias_is_made_where_a_constant_needs_one() -> None:
    net = stack(nn.Linear(3, 4), nn.Sigmoid(), nn.Linear(4, 2, bias=False))
    zero(net[0].weight, [2])

    smaller = compacted(net, torch.randn(4, 3))

    expected = net.get_parameter("0.bias")[2].sigmoid() * net.get_parameter("2.weight")[:, 2]
    torch.testing.assert_close(smaller.get_parameter("2.bias"), expected)


def test_no_bias_is_made_for_zeros() -> None:
    net = stack(nn.Linear(3, 4, bias=False), nn.ReLU(), nn.Linear(4, 2, bias=False))
    zero(net[0].weight, [2])

    assert "2.bias" not in compacted(net, torch.randn(4, 3)).state_dict()


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({}, 3),
        ({"padding": "valid"}, 3),
        ({"padding": 1, "padding_mode": "circular"}, 3),
        ({"padding": 1}, 5),
        ({"padding": "same"}, 5),
    ],
)
def test_constants_under_padding(options: dict, left: int) -> None:
    net = stack(nn.Conv2d(2, 5, 3), nn.Sigmoid(), nn.Conv2d(5, 3, 3, **options))
    zero(net[0].weight, [1, 4])

    smaller = compacted(net, torch.randn(2, 2, 7, 7))

    assert widths(smaller)["0"] == (2, left)
    assert smaller.plan.kept.get("0", []) == ([1, 4] if left == 5 else [])


def test_a_constant_that_stays_is_named_with_who_holds_it() -> None:
    net = stack(nn.Conv2d(2, 5, 3), nn.Sigmoid(), nn.Conv2d(5, 3, 3, padding=1))
    zero(net[0].weight, [1, 4])
    zero(net[2].weight, slice(None), [4])

    smaller = compacted(net, torch.randn(2, 2, 7, 7))

    assert widths(smaller)["0"] == (2, 4)
    assert smaller.plan.kept == {"0": [1]}
    assert smaller.plan.reasons == {"0": "2"}


def test_zeros_go_even_under_padding() -> None:
    net = stack(nn.Conv2d(2, 5, 3), nn.ReLU(), nn.Conv2d(5, 3, 3, padding=1))
    zero(net[0].weight, [1, 4])
    zero(net[0].bias, [1, 4])

    assert widths(compacted(net, torch.randn(2, 2, 7, 7)))["0"] == (2, 3)


def test_channels_of_the_input_are_gathered() -> None:
    net = stack(nn.Conv2d(4, 5, 3), nn.ReLU(), nn.Conv2d(5, 3, 3))
    zero(net[0].weight, slice(None), [0, 2])

    smaller = compacted(net, torch.randn(2, 4, 7, 7))

    assert widths(smaller)["0"] == (2, 5)
    assert smaller.get_buffer("0_inputs.index").tolist() == [1, 3]


@pytest.mark.parametrize("bias", [True, False])
def test_layers_written_as_functions(bias: bool) -> None:
    net = Functional(bias)
    zero(net.kernel, [1, 2])
    zero(net.weight, slice(None), slice(6, 8))

    smaller = compacted(net, torch.randn(5, 2, 4))

    # A function without bias cannot take a constant up, so that the features of 1 and 2 stay
    # where the kernel has one.
    maps, features = (3, 6) if bias else (1, 2)
    assert smaller.get_parameter("kernel").shape == (maps, 2, 3)
    assert smaller.get_parameter("weight").shape == (3, features)


def test_groups_that_nobody_reads_go() -> None:
    net = stack(nn.Conv2d(6, 6, 1), nn.Conv2d(6, 9, 3, groups=3), nn.Conv2d(9, 2, 1))
    zero(net[2].weight, slice(None), slice(3, 6))

    smaller = compacted(net, torch.randn(2, 6, 5, 5))

    assert widths(smaller) == {"0": (6, 4), "1": (4, 6), "2": (6, 2)}
    assert smaller.get_submodule("1").groups == 2


def test_groups_stay_even() -> None:
    net = stack(nn.Conv2d(6, 6, 1), nn.Conv2d(6, 9, 3, groups=3), nn.Conv2d(9, 2, 1))
    zero(net[2].weight, slice(None), [0, 1, 3])
    zero(net[1].weight, slice(None), [0])

    smaller = compacted(net, torch.randn(2, 6, 5, 5), gather=False)

    # One input is left in each group; outputs 1, 2, 3: three each, as in the last group.
    assert widths(smaller) == {"0": (6, 3), "1": (3, 9), "2": (9, 2)}
    assert smaller.plan.kept == {"1": [0, 1, 3]}
    assert smaller.plan.reasons == {"1": "groups"}


def test_depthwise_channels_go_one_by_one() -> None:
    net = stack(
        nn.Conv2d(2, 6, 1), nn.BatchNorm2d(6), nn.ReLU6(),
        nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False), nn.BatchNorm2d(6), nn.Conv2d(6, 3, 1),
    )  # fmt: skip
    zero(net[3].weight, [0])
    zero(net[5].weight, slice(None), [1, 2])

    smaller = compacted(net, torch.randn(2, 2, 5, 5))

    assert widths(smaller) == {"0": (2, 3), "3": (3, 3), "5": (3, 3)}
    assert smaller.get_submodule("3").groups == 3


@pytest.mark.parametrize("groups", [1, 2])
def test_transposed_convolutions(groups: int) -> None:
    net = stack(
        nn.Conv2d(2, 6, 3), nn.ReLU(), nn.ConvTranspose2d(6, 8, 3, stride=2, groups=groups),
        nn.ReLU(), nn.Conv2d(8, 2, 1),
    )  # fmt: skip
    zero(net[0].weight, [0, 3])
    zero(net[0].bias, [0, 3])
    zero(net[2].weight, slice(None), [1])

    smaller = compacted(net, torch.randn(2, 2, 5, 5))

    # Column 1 of the weight is output 1, in each group.
    assert widths(smaller) == {"0": (2, 4), "2": (4, 8 - groups), "4": (8 - groups, 2)}


def test_linear_layers_over_positions_do_not_touch_channels() -> None:
    net = stack(nn.Conv1d(2, 4, 1), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    zero(net[0].weight, [1])
    zero(net[1].weight, [0, 2])

    assert widths(compacted(net, torch.randn(3, 2, 6))) == {"0": (2, 4), "1": (6, 3), "3": (3, 3)}


@pytest.mark.parametrize("dims", [1, 3])
def test_convolutions_of_other_dimensions(dims: int) -> None:
    conv = {1: nn.Conv1d, 3: nn.Conv3d}[dims]
    net = stack(conv(2, 5, 2), nn.Tanh(), conv(5, 4, 2))
    zero(net[0].weight, [1, 2])

    assert widths(compacted(net, torch.randn(2, 2, *[4] * dims)))["2"] == (3, 4)


class Shared(nn.Module):
    """Two convolutions read the same channels."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 6, 1)
        self.left = nn.Conv2d(6, 3, 3)
        self.right = nn.Conv2d(6, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        return self.left(x) + self.right(x)


def test_layers_pick_from_what_they_share() -> None:
    net = Shared()
    zero(net.left.weight, slice(None), [0, 1, 2])
    zero(net.right.weight, slice(None), [2, 3])
    x = torch.randn(2, 2, 5, 5)

    assert widths(compacted(net, x)) == {"first": (2, 5), "left": (3, 3), "right": (4, 3)}
    picked = compacted(net, x, gather=False)
    assert widths(picked) == {"first": (2, 5), "left": (5, 3), "right": (5, 3)}
    assert not picked.plan.gathers


class Named(nn.Module):
    """Layers whose inputs are given by name."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 5)
        self.last = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = F.linear(weight=self.first.weight, bias=self.first.bias, input=x)
        return self.last(input=h.relu())


def test_inputs_given_by_name() -> None:
    net = Named()
    zero(net.first.weight, [0])
    zero(net.first.weight, slice(None), [1])
    zero(net.last.weight, slice(None), [3])

    assert widths(compacted(net, torch.randn(2, 4))) == {"last": (3, 2)}
