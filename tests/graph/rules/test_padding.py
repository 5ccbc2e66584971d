import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.resnet import resnet20
from tests.prune.nets import compacted, widths, zero


class Padded(nn.Module):
    def __init__(self, value: float, mode: str = "constant") -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 3, 1)
        self.last = nn.Conv2d(6, 2, 1)
        self.value = value
        self.mode = mode

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).unsqueeze(1) if self.mode != "constant" else self.first(x)
        amounts = (0, 0, 0, 0, 1, 2)
        if self.mode != "constant":
            return self.last(F.pad(x, amounts, self.mode).squeeze(1))

        return self.last(F.pad(x, amounts, value=self.value))


def test_padded_channels_are_constants() -> None:
    for value in (0.0, 1.5):
        net = Padded(value)
        zero(net.first.weight, [1])

        smaller = compacted(net, torch.randn(2, 2, 3, 3))

        assert widths(smaller) == {"first": (2, 2), "last": (2, 2)}
        assert smaller.plan.paddings == {"pad": [0, 0, 0, 0, 0, 0]}


def test_other_modes_need_all() -> None:
    net = Padded(0.0, mode="replicate")
    zero(net.first.weight, [1])

    assert widths(compacted(net, torch.randn(2, 2, 3, 3)))["first"] == (2, 3)


def test_residual_streams_shrink_through_shortcuts() -> None:
    net = resnet20(width=4)
    # Two of the channels that stage 2 adds lie on either side of the four of stage 1, and so on.
    closed = {"bn": [1], "stage1": [1], "stage2": [0, 3], "stage3": [4, 7]}
    for name, module in net.named_modules():
        if name == "bn" or name.endswith("bn2"):
            zero(module.weight, closed[name.split(".")[0]])
            zero(module.bias, closed[name.split(".")[0]])

    smaller = compacted(net, torch.randn(2, 3, 8, 8))

    found = widths(smaller)
    assert found["stage1.2.conv2"] == (4, 3)
    assert found["stage2.0.conv2"] == found["stage2.2.conv2"] == (8, 6)
    assert found["fc"] == (14, 10)
    assert smaller.plan.paddings == {"pad": [0, 0, 0, 0, 1, 2]}
