import operator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from pyro_sparse.graph.vocabulary import name_of, writes_in_place


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(2)
        self.conv = nn.Conv2d(2, 2, 1)
        self.hooked = nn.Conv2d(2, 2, 1)
        self.hooked.register_forward_hook(lambda *_: None)


def node(op: str, target: Any, *args: Any, **kwargs: Any) -> fx.Node:
    graph = fx.Graph()
    x = graph.placeholder("x_")
    return graph.create_node(op, target, (x, *args), kwargs)


def relu(x: Tensor) -> Tensor:
    return x.relu()


@pytest.mark.parametrize(
    ("op", "target", "name"),
    [
        ("call_function", F.relu, "relu"),
        ("call_function", torch.relu_, "relu"),
        ("call_function", torch.ops.aten.relu_.default, "relu"),
        ("call_method", "relu_", "relu"),
        ("call_function", F.max_pool2d, "max_pool2d"),
        ("call_function", F.linear, "linear"),
        ("call_function", torch.ops.aten.conv2d.default, "conv2d"),
        ("call_function", operator.iadd, "add"),
        ("call_function", torch.ops.aten.add_.Tensor, "add"),
        ("call_function", relu, ""),
        ("call_module", "relu", "pointwise"),
        ("call_module", "pool", "spatial"),
        ("call_module", "conv", "conv"),
        ("call_module", "hooked", ""),
    ],
)
def test_one_name_for_each_operation(op: str, target: Any, name: str) -> None:
    assert name_of(node(op, target), Net()) == name


@pytest.mark.parametrize(
    ("op", "target", "kwargs", "writes"),
    [
        ("call_module", "relu", {}, True),
        ("call_module", "pool", {}, False),
        ("call_method", "add_", {}, True),
        ("call_method", "__iadd__", {}, False),
        ("call_method", "add", {}, False),
        ("call_function", operator.imul, {}, True),
        ("call_function", operator.setitem, {}, True),
        ("call_function", F.relu, {"inplace": True}, True),
        ("call_function", F.relu, {"inplace": False}, False),
        ("call_function", torch.ops.aten.relu_.default, {}, True),
        ("call_function", torch.ops.aten.relu.default, {}, False),
        ("get_attr", "buffer_", {}, False),
    ],
)
def test_what_writes_in_place(op: str, target: Any, kwargs: dict[str, Any], writes: bool) -> None:
    assert writes_in_place(node(op, target, **kwargs), Net()) is writes
