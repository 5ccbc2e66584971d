import pytest
import torch
from torch import Tensor, nn

from pyro_sparse.nn import Attention
from tests.prune.nets import compacted, widths, zero


class Seeing(nn.Module):
    """A layer of attention between two linear ones, without a residual stream.

    Args:
        told: what is given back beside the result: "nothing", or the attention weights.
    """

    def __init__(self, heads: int = 3, told: str = "nothing") -> None:
        super().__init__()
        self.embed = nn.Linear(5, 8)
        self.attention = Attention(8, heads, head_dim=2, batch_first=True)
        self.last = nn.Linear(8, 4)
        self.told = told

    def forward(
        self, x: Tensor, padding: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Tensor | None]:
        x = self.embed(x)
        need = self.told != "unneeded"
        x, weights = self.attention(x, x, x, padding, need, mask)
        return (self.last(x), weights) if self.told == "weights" else self.last(x)


def columns(heads: list[int], width: int = 2) -> list[int]:
    return [width * head + i for head in heads for i in range(width)]


X = (2, 6, 5)


@pytest.mark.parametrize("told", ["nothing", "unneeded"])
def test_a_head_nobody_reads_goes(told: str) -> None:
    net = Seeing(told=told)
    zero(net.attention.out.weight, slice(None), columns([1]))

    smaller = compacted(net, torch.randn(X))

    cut = {f"attention.{name}": (8, 4) for name in "qkv"}
    assert cut.items() <= widths(smaller).items()
    assert widths(smaller)["attention.out"] == (4, 8)
    assert smaller.get_submodule("attention.attend").num_heads == 2


def test_a_head_without_values_goes() -> None:
    net = Seeing()
    zero(net.attention.v.weight, columns([0, 2]))
    zero(net.attention.v.bias, columns([0, 2]))

    assert widths(compacted(net, torch.randn(X)))["attention.q"] == (8, 2)


def test_equal_values_are_folded_into_the_bias() -> None:
    net = Seeing()
    zero(net.attention.v.weight, columns([2]))
    nn.init.normal_(net.attention.v.bias)

    smaller = compacted(net, torch.randn(X))

    assert widths(smaller)["attention.v"] == (8, 4)


def test_equal_values_behind_a_mask_stay_and_are_named() -> None:
    """A position that may attend to nothing gets 0 instead."""
    net = Seeing(told="unneeded")
    zero(net.attention.v.weight, columns([2]))
    nn.init.normal_(net.attention.v.bias)
    padding = torch.zeros(2, 6, dtype=torch.bool)
    padding[1] = True

    smaller = compacted(net, (torch.randn(X), padding))

    assert widths(smaller)["attention.v"] == (8, 6)
    assert smaller.plan.kept["attention.v"] == [4, 5]
    assert smaller.plan.reasons["attention.v"] == "attention.out"


@pytest.mark.parametrize("side", ["rows of values", "columns of the result"])
def test_part_of_a_head_stays_with_it(side: str) -> None:
    net = Seeing()
    if side == "rows of values":
        zero(net.attention.v.weight, [0])
        zero(net.attention.v.bias, [0])
    else:
        zero(net.attention.out.weight, slice(None), [0])

    smaller = compacted(net, torch.randn(X))

    assert widths(smaller)["attention.q"] == widths(smaller)["attention.v"] == (8, 6)


def test_queries_and_keys_alone_make_no_head_superfluous() -> None:
    """Without them a head still says what positions have in common."""
    net = Seeing()
    for layer in (net.attention.q, net.attention.k):
        zero(layer.weight, columns([1]))
        zero(layer.bias, columns([1]))

    assert widths(compacted(net, torch.randn(X)))["attention.v"] == (8, 6)


def test_all_heads_dead() -> None:
    net = Seeing()
    zero(net.attention.out.weight)

    with pytest.raises(ValueError, match=r"nothing of the input gets through"):
        compacted(net, torch.randn(X))
    smaller = compacted(net, torch.randn(X), allow_empty=True)
    assert smaller.get_submodule("attention.attend").num_heads == 1


def test_weights_that_are_read_keep_all_heads() -> None:
    net = Seeing(told="weights")
    zero(net.attention.out.weight, slice(None), columns([1]))

    smaller = compacted(net, torch.randn(X))

    assert widths(smaller)["attention.q"] == (8, 6)
    assert smaller.get_submodule("attention.attend").num_heads == 3


def test_a_mask_for_each_head_keeps_all_heads() -> None:
    net = Seeing()
    zero(net.attention.out.weight, slice(None), columns([1]))
    mask = torch.randn(2 * 3, 6, 6)

    smaller = compacted(net, (torch.randn(X), None, mask))

    assert widths(smaller)["attention.v"] == (8, 6)
    assert smaller.plan.reasons["attention.v"] == "a mask for each head"


def test_rounding_keeps_whole_heads() -> None:
    net = Seeing(heads=4)
    zero(net.attention.out.weight, slice(None), columns([1, 2, 3]))

    smaller = compacted(net, torch.randn(X), round_to=3)

    assert widths(smaller)["attention.q"] == (8, 6)


def test_attention_of_what_is_not_projected() -> None:
    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Linear(6, 6)
            self.attention = Attention(6, 3, batch_first=True)
            self.last = nn.Linear(6, 4)

        def forward(self, x: Tensor) -> Tensor:
            seen = self.attention.attend(x, x, self.embed(x))
            return self.last(seen)

    net = Bare()
    zero(net.last.weight, slice(None), columns([1]))

    compacted(net, torch.randn(2, 6, 6))
