from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from pyro_sparse.nn import Attention
from pyro_sparse.nn.torch_attention import (
    batch_dims,
    heads_of,
    is_convertible,
    projections_of,
    with_attention,
)


def layer(batch_first: bool = True) -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=batch_first)


def test_attention_anywhere_is_replaced() -> None:
    net: Any = nn.ModuleDict(
        {"layers": nn.ModuleList([layer(), layer()]), "head": nn.Linear(8, 3)}
    )
    x = torch.randn(2, 5, 8)
    expected = net["layers"][0](x)

    same = with_attention(net)

    assert same is net
    assert heads_of(net) == {f"layers.{i}.self_attn.out": 2 for i in range(2)}
    assert projections_of(net) == {f"layers.{i}.self_attn.{p}" for i in range(2) for p in "qkv"}
    torch.testing.assert_close(net["layers"][0](x), expected)


def test_a_network_that_is_attention() -> None:
    found = with_attention(nn.MultiheadAttention(8, 2))

    assert isinstance(found, Attention) and heads_of(found) == {"out": 2}


def test_only_what_is_wanted() -> None:
    net = nn.ModuleList([layer(), layer()])

    with_attention(net, lambda name, module: name.startswith("1."))

    assert heads_of(net).keys() == {"1.self_attn.out"}


def test_one_module_under_two_names_stays_one() -> None:
    attention = nn.MultiheadAttention(8, 2)
    net: Any = nn.ModuleDict({"a": attention, "b": attention})

    with_attention(net)

    assert isinstance(net["a"], Attention) and net["a"] is net["b"]


def test_tied_parameters_are_left_alone() -> None:
    net: Any = nn.ModuleList([nn.MultiheadAttention(8, 2) for _ in range(2)])
    net[1].in_proj_weight = net[0].in_proj_weight

    with_attention(net)

    assert not heads_of(net)


class Own(nn.MultiheadAttention):
    """A subclass, which may do anything."""


def hooked() -> nn.MultiheadAttention:
    module = nn.MultiheadAttention(8, 2)
    module.register_forward_hook(lambda *_: None)
    return module


def parametrized() -> nn.Module:
    return parametrizations.weight_norm(nn.MultiheadAttention(8, 2), "in_proj_weight")


@pytest.mark.parametrize(
    "module",
    [
        Own(8, 2),
        hooked(),
        parametrized(),
        nn.MultiheadAttention(8, 2, add_bias_kv=True),
        nn.MultiheadAttention(8, 2, add_zero_attn=True),
        nn.Linear(8, 8),
    ],
    ids=["subclass", "hook", "parametrized", "added keys", "zero key", "no attention"],
)
def test_what_attention_cannot_stand_for_is_left_alone(module: nn.Module) -> None:
    net = nn.ModuleList([module])

    with_attention(net)

    assert not is_convertible(module) and net[0] is module


def test_where_examples_are_counted() -> None:
    net = nn.ModuleDict({"first": layer(), "second": layer(False), "head": nn.Linear(8, 3)})

    found = batch_dims(net, None)

    assert found["first.linear1"] == found["head"] == 0
    assert found["second.linear1"] == found["second.self_attn.out_proj"] == 1
    assert batch_dims(net, 2)["head"] == 2
    with pytest.raises(ValueError, match="at least 0, got -1"):
        batch_dims(net, -1)
