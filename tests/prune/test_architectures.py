"""Compaction of the papers' networks and torchvision's, with random zeros."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from models.alexnet import alexnet
from models.lenet import lenet5, lenet_300_100
from models.resnet import resnet20
from models.vgg import vgg
from models.wide_resnet import wrn_small
from pyro_sparse.prune import compact, count
from tests.prune.nets import assert_same, compacted, density, sprinkle, widths, zero

torchvision = pytest.importorskip("torchvision", reason="install pyro-sparse[vision]")

NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "LeNet-300-100": (lenet_300_100, (3, 1, 28, 28)),
    "LeNet-5-Caffe": (lenet5, (3, 1, 28, 28)),
    "VGG-like": (lambda: vgg(width=1 / 8), (3, 3, 32, 32)),
    "AlexNet": (lambda: alexnet(hidden=64), (3, 3, 32, 32)),
    "ResNet-20": (resnet20, (2, 3, 16, 16)),
    "WRN-10-2": (wrn_small, (2, 3, 16, 16)),
    "ResNet-18": (torchvision.models.resnet18, (2, 3, 32, 32)),
    "MobileNet-V2": (torchvision.models.mobilenet_v2, (2, 3, 32, 32)),
}

everywhere = pytest.mark.parametrize("name", NETWORKS)


def gated(net: nn.Module, share: float) -> nn.Module:
    """Closes random gates behind every norm, or on the outputs of layers without one."""
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    layers = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)][:-1]

    for module in norms or layers:
        closed = torch.rand(len(module.weight)) < share
        closed[0] = False
        zero(module.weight, closed)
        zero(module.bias, closed)

    return net


@everywhere
def test_closed_gates_in_single_precision(name: str) -> None:
    build, shape = NETWORKS[name]
    net = gated(build(), share=0.6)

    smaller = compacted(net, torch.randn(shape))

    assert density(net, smaller) < 0.7
    assert_same(net, smaller, torch.randn(shape))


@everywhere
def test_any_zeros_in_double_precision(name: str) -> None:
    build, shape = NETWORKS[name]
    for seed in range(2):
        net = sprinkle(build().double(), seed)
        x = torch.randn(shape, dtype=torch.double)
        assert_same(net, compacted(net, x, allow_empty=True), torch.randn_like(x))


@everywhere
def test_nothing_dead(name: str) -> None:
    build, shape = NETWORKS[name]
    net = build()

    assert widths(compacted(net, torch.randn(shape))) == widths(net)


@everywhere
def test_one_unit_left(name: str) -> None:
    build, shape = NETWORKS[name]
    net = gated(build(), share=1.1)

    smaller = compacted(net, torch.randn(shape))

    inner = {n: w for n, w in widths(smaller).items() if w[0] == 1}
    assert inner and density(net, smaller) < 0.05


@everywhere
def test_a_dead_layer_is_an_error_or_a_constant(name: str) -> None:
    build, shape = NETWORKS[name]
    net = build()
    layers = {n: m for n, m in net.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    first = next(iter(layers))
    zero(layers[first].weight)
    x = torch.randn(shape)

    with pytest.raises(ValueError, match=f"gets through {first}: all its outputs are constant"):
        compact(net, x)

    smaller = compacted(net, x, allow_empty=True)
    outputs = smaller(torch.randn(shape))
    torch.testing.assert_close(outputs, outputs[:1].expand_as(outputs))


@everywhere
def test_counts_equal_those_of_torch(name: str) -> None:
    build, shape = NETWORKS[name]
    net, x = build().eval(), torch.randn(1, *shape[1:])

    with FlopCounterMode(display=False) as counter:
        net(x)

    counted = count(net, x)
    assert 2 * counted.macs == counter.get_total_flops() == sum(2 * c.macs for c in counted.layers)
    assert counted.parameters == sum(p.numel() for p in net.parameters())


def test_a_dead_branch_of_resnet_disappears() -> None:
    net = torchvision.models.resnet18().eval()
    for name in ("layer1.1.bn2", "layer3.1.bn2"):
        zero(net.get_parameter(f"{name}.weight"))
        zero(net.get_parameter(f"{name}.bias"))

    smaller = compacted(net, torch.randn(2, 3, 32, 32))

    gone = widths(net).keys() - widths(smaller).keys()
    assert gone == {f"layer{i}.1.conv{j}" for i in (1, 3) for j in (1, 2)}
