import torch
from torch import Tensor, nn

from tests.prune.nets import Residual, compacted, widths, zero


class Two(nn.Module):
    """Two linear layers joined by an operation, and one behind."""

    def __init__(self, join: str) -> None:
        super().__init__()
        self.left = nn.Linear(3, 4)
        self.right = nn.Linear(3, 4)
        self.last = nn.Linear(4, 2)
        self.join = join

    def forward(self, x: Tensor) -> Tensor:
        return self.last(getattr(torch, self.join)(self.left(x), self.right(x)))


class Scaled(nn.Module):
    """A parameter of the network that multiplies, and one that is added."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 5, 3)
        self.scale = nn.Parameter(torch.randn(5, 1, 1))
        self.shift = nn.Parameter(torch.randn(1, 5, 1, 1))
        self.last = nn.Conv2d(5, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x) * self.scale + self.shift)


class ScaledFeatures(nn.Module):
    """A norm without mean, a scale and a bias, each with one dimension."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 6)
        self.scale = nn.Parameter(torch.randn(6))
        self.register_buffer("shift", torch.randn(6))
        self.last = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x) + self.shift
        return self.last(h.tanh() * self.scale)


class OnInput(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.last = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(x + self.layer(x))


class Spatial(nn.Module):
    """A map of positions, one number for all channels."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 5, 3)
        self.map = nn.Conv2d(2, 1, 3)
        self.last = nn.Conv2d(5, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x) * self.map(x).sigmoid())


def test_a_unit_goes_only_where_both_do() -> None:
    net = Two("add")
    zero(net.left.weight, [0, 1])
    zero(net.right.weight, [1, 2])

    smaller = compacted(net, torch.randn(5, 3))

    assert widths(smaller) == {"left": (3, 3), "right": (3, 3), "last": (3, 2)}
    assert smaller.plan.kept == {"left": [0], "right": [2]}


def test_zero_times_anything() -> None:
    net = Two("mul")
    zero(net.left.weight, [0])
    zero(net.left.bias, [0])
    zero(net.right.weight, [1])

    # Unit 0 of the product is 0; unit 1 is a multiple of left's and stays.
    assert widths(compacted(net, torch.randn(5, 3)))["last"] == (3, 2)


def test_other_joins() -> None:
    for join in ("sub", "maximum", "minimum", "div"):
        net = Two(join)
        zero(net.left.weight, [0])
        zero(net.right.weight, [0])

        assert widths(compacted(net, torch.randn(5, 3)))["last"] == (3, 2)


def test_a_constant_operand_is_stored_or_dropped() -> None:
    for join, names in {"add": [], "sub": [], "mul": ["mul_constant"]}.items():
        net = Two(join)
        zero(net.right.weight)
        zero(net.last.weight, slice(None), [3])
        if join != "mul":
            zero(net.right.bias)

        smaller = compacted(net, torch.randn(5, 3))

        assert [name for name, _ in smaller.named_buffers()] == names
        assert all(buffer.shape == (3,) for buffer in smaller.buffers())
        assert widths(smaller) == {"left": (3, 3), "last": (3, 2)}


def test_nothing_minus_something_is_not_that_thing() -> None:
    net = Two("sub")
    zero(net.left.weight)
    zero(net.left.bias)

    assert widths(compacted(net, torch.randn(5, 3))) == {"right": (3, 4), "last": (4, 2)}


def test_parameters_that_are_joined_are_cut() -> None:
    net = Scaled()
    zero(net.scale, [0])
    zero(net.first.weight, [1])
    zero(net.last.weight, slice(None), [2])

    smaller = compacted(net, torch.randn(2, 2, 5, 5))

    assert smaller.get_parameter("scale").shape == (2, 1, 1)
    assert smaller.get_parameter("shift").shape == (1, 2, 1, 1)
    assert smaller.plan.cuts["shift"].dim == 1


def test_parameters_of_one_dimension_that_are_joined_are_cut() -> None:
    net = ScaledFeatures()
    zero(net.scale, [0])
    zero(net.first.weight, [1])
    zero(net.last.weight, slice(None), [2])

    smaller = compacted(net, torch.randn(5, 3))

    assert widths(smaller) == {"first": (3, 3), "last": (3, 2)}
    assert smaller.get_parameter("scale").shape == smaller.get_buffer("shift").shape == (3,)


def test_branches_beside_the_input() -> None:
    net = OnInput()
    zero(net.layer.weight, [0])
    assert widths(compacted(net, torch.randn(5, 4)))["layer"] == (4, 4)

    zero(net.layer.weight)
    smaller = compacted(net, torch.randn(5, 4))
    assert widths(smaller) == {"last": (4, 2)}
    assert smaller.get_buffer("add_constant").shape == (4,)


def test_maps_are_shared_by_all_channels() -> None:
    net = Spatial()
    zero(net.first.weight, [0, 1])
    zero(net.first.bias, [0])

    # Channel 1 is a constant times the map, so it varies.
    assert widths(compacted(net, torch.randn(2, 2, 5, 5)))["first"] == (2, 4)


def test_gates_inside_a_branch_shrink_the_branch() -> None:
    net = Residual()
    zero(net.get_parameter("blocks.0.bn1.weight"), [0, 1, 2])
    zero(net.get_parameter("blocks.0.bn1.bias"), [0, 1, 2])

    found = widths(compacted(net, torch.randn(2, 2, 8, 8)))

    assert (found["blocks.0.conv1"], found["blocks.0.conv2"]) == ((6, 3), (3, 6))
