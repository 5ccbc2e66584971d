"""Attention stays one module where a network can be followed only by running it."""

import pytest
import torch
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
