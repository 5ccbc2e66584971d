from collections.abc import Callable

import pytest
import torch
from torch import nn

from models.resnet import ResNet, resnet20, resnet32


@pytest.mark.parametrize(("build", "size"), [(resnet20, 269_722), (resnet32, 464_154)])
def test_published_sizes(build: Callable[[], ResNet], size: int) -> None:
    assert sum(p.numel() for p in build().parameters()) == size


def test_depth_and_shape() -> None:
    net = resnet32(classes=5, width=4)
    layers = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]

    assert len(layers) == 32
    assert net(torch.randn(2, 3, 32, 32)).shape == (2, 5)


def test_a_shortcut_takes_every_second_position_between_zeros() -> None:
    net = resnet20(width=2).eval()
    block = net.stage2[0]
    nn.init.zeros_(net.get_parameter("stage2.0.bn2.weight"))
    x = torch.rand(1, 2, 4, 4)

    expected = torch.zeros(1, 4, 2, 2)
    expected[:, 1:3] = x[:, :, ::2, ::2]
    assert torch.equal(block(x), expected)


def test_dropout_is_between_the_convolutions_of_each_block() -> None:
    rates = [m.p for m in resnet20(dropout=0.3).modules() if isinstance(m, nn.Dropout)]

    assert rates == [0.3] * 9
