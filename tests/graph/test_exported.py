"""Attention stays one module where a network can be followed only by running it."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyro_sparse.graph.trace import trace
from pyro_sparse.nn import Attention
from tests.prune.nets import assert_same, compacted, zero


class Asserting(nn.Module):
    def __init__(self, told: bool = False) -> None:
        super().__init__()
        self.attention = Attention(6, 3, batch_first=True)
        self.told = told

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor | tuple[Tensor, ...]:
        assert x.shape[-1] == 6
        result, weights = self.attention(x, x, x, attn_mask=mask, is_causal=mask is None)
        return (x + result, weights) if self.told else x + result


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("masked", [True, False])
def test_attention_stays_together(told: bool, masked: bool) -> None:
    net = Asserting(told).eval()
    x = (torch.randn(2, 5, 6), torch.randn(5, 5)) if masked else torch.randn(2, 5, 6)

    found = trace(net, x)

    assert [str(n.target) for n in found.graph.nodes if n.op == "call_module"] == [
        "attention.attend"
    ]
    assert found.root.get_submodule("attention.attend").num_heads == 3
    zero(net.attention.out.weight, slice(None), [2, 3])
    assert_same(net, compacted(net, x), x)


class Halving(nn.Module):
    """Asks for the sizes of its input in all ways."""

    def __init__(self, length: int = 8) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv1d(2, 4, 1), nn.BatchNorm1d(4)
        self.last = nn.Linear(4, 2)
        self.length = length

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(self.conv(x))
        if h.shape[-1] > self.length:
            h = F.max_pool1d(h, 2)
        h = F.dropout(h.mean(-1).reshape(x.shape[0], -1), 0.5, self.training)
        return self.last(h) / x.shape[0]


def steps(x: Tensor) -> Tensor:
    return torch.stack([x[:, t] for t in range(x.shape[1])]).sum(0)


class Stepping(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        return super().forward(steps(input))


def test_one_example_stands_for_any_number_of_them() -> None:
    net = Halving().eval()
    zero(net.conv.weight, [1])
    smaller = compacted(net, torch.randn(1, 2, 10))

    for batch in (1, 3):
        assert_same(net, smaller, torch.randn(batch, 2, 10))


@pytest.mark.parametrize(
    ("net", "x", "other"),
    [
        (Halving(), torch.randn(1, 2, 10), torch.randn(2, 2, 6)),
        (Halving(), torch.randn(2, 2, 6), torch.randn(2, 2, 10)),
        (Stepping(3, 2), torch.randn(2, 4, 3), torch.randn(2, 5, 3)),
    ],
)
def test_sizes_that_the_recording_does_not_stand_for(
    net: nn.Module, x: Tensor, other: Tensor
) -> None:
    smaller = compacted(net, x)
    again = pickle.loads(pickle.dumps(smaller))

    assert_same(smaller, again, x)
    for each in (smaller, again, copy.deepcopy(smaller)):
        with pytest.raises(AssertionError, match=r"inputs with .*size.*Give compact an example"):
            each(other)


def test_sizes_that_decide_nothing_are_free() -> None:
    net = Halving(length=99).eval()
    smaller = compacted(net, torch.randn(2, 2, 10))

    assert_same(net, smaller, torch.randn(3, 2, 7))


def test_the_original_is_not_touched() -> None:
    net = Asserting().eval()
    kind = type(net.attention.attend)

    trace(net, torch.randn(2, 5, 6))

    assert type(net.attention.attend) is kind


def test_values_that_decide_are_an_error() -> None:
    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(ValueError, match="Branching cannot be traced"):
        trace(Branching(), torch.ones(1, 3))
