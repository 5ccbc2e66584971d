import torch
from torch import Tensor, nn

from tests.prune.nets import compacted, widths, zero


class Pairs(nn.Module):
    def __init__(self, bias: bool = True) -> None:
        super().__init__()
        self.left = nn.Linear(3, 4)
        self.right = nn.Linear(3, 5)
        self.pairs = nn.Bilinear(4, 5, 6, bias=bias)
        self.last = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.pairs(self.left(x), self.right(x)))


def test_both_inputs_and_the_outputs() -> None:
    for bias in (True, False):
        net = Pairs(bias)
        zero(net.pairs.weight, slice(None), [0])
        zero(net.right.weight, [1])
        zero(net.right.bias, [1])
        zero(net.pairs.weight, [2, 3])

        smaller = compacted(net, torch.randn(5, 3))

        assert widths(smaller) == {"left": (3, 3), "right": (3, 4), "last": (4, 2)}
        assert smaller.get_parameter("pairs.weight").shape == (4, 3, 4)
        assert smaller.get_submodule("pairs").in2_features == 4


def test_a_constant_factor_stays() -> None:
    net = Pairs()
    zero(net.left.weight, [0])

    smaller = compacted(net, torch.randn(5, 3))

    assert widths(smaller)["left"] == (3, 4)
    assert smaller.plan.kept == {"left": [0]}
    assert smaller.plan.reasons == {"left": "pairs"}


def test_products_with_zero_are_zero() -> None:
    net = Pairs()
    zero(net.left.weight, [0, 1])
    zero(net.left.bias, [0, 1])
    zero(net.pairs.weight, [4], [2, 3])

    assert widths(compacted(net, torch.randn(5, 3)))["last"] == (5, 2)


def test_inputs_of_the_network_stay_whole() -> None:
    class Direct(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pairs = nn.Bilinear(3, 4, 5)
            self.last = nn.Linear(5, 2)

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return self.last(self.pairs(x, y))

    net = Direct()
    zero(net.pairs.weight, [0])

    smaller = compacted(net, (torch.randn(5, 3), torch.randn(5, 4)))

    assert smaller.get_parameter("pairs.weight").shape == (4, 3, 4)
