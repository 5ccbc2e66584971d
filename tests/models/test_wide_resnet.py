import pytest
import torch
from torch import nn

from models.wide_resnet import WideResNet, wrn_16_4, wrn_28_10, wrn_small


def parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def test_published_sizes() -> None:
    with torch.device("meta"):
        assert parameters(wrn_28_10()) == 36_479_194
        assert parameters(wrn_28_10(classes=100)) == 36_536_884
        assert parameters(wrn_16_4()) == 2_748_890
        assert parameters(wrn_small()) == 303_706


def test_shapes() -> None:
    net = WideResNet(10, 1, classes=5, dropout=0.2)

    assert net(torch.randn(2, 3, 32, 32)).shape == (2, 5)
    assert net.stage2(net.stage1(net.conv(torch.randn(2, 3, 32, 32)))).shape == (2, 32, 16, 16)


def test_shortcuts_see_the_activated_input() -> None:
    net = WideResNet(10, 2).eval()
    nn.init.zeros_(net.get_parameter("stage1.0.conv2.weight"))
    x = torch.randn(1, 16, 4, 4)

    active = net.get_submodule("stage1.0.bn1")(x).relu()
    torch.testing.assert_close(net.stage1(x), net.get_submodule("stage1.0.shortcut")(active))


@pytest.mark.parametrize("depth", [4, 11, 27])
def test_depths_that_do_not_exist(depth: int) -> None:
    with pytest.raises(ValueError, match=f"depth 6 blocks \\+ 4 .* but got {depth}"):
        WideResNet(depth, 1)
