"""Wide residual networks for images of 32x32 pixels."""

__all__ = ["WideResNet", "wrn_16_4", "wrn_28_10", "wrn_small"]

import torch.nn.functional as F
from torch import Tensor, nn


class WideResNet(nn.Module):
    """WRN-depth-widen: batch norm and ReLU come before each convolution.

    The first convolution of each block, `conv1`, is the one whose outputs the papers gate.

    References:
        Wide Residual Networks (Zagoruyko, Komodakis, 2016), https://arxiv.org/abs/1605.07146

    Args:
        depth: 6 blocks + 4, with `blocks` blocks in each of the three stages.
        widen: factor of the widths 16, 32, 64.
        classes: outputs.
        dropout: rate between the two convolutions of a block.
    """

    def __init__(self, depth: int, widen: int, classes: int = 10, dropout: float = 0.0) -> None:
        super().__init__()
        if depth < 10 or (depth - 4) % 6:
            raise ValueError(
                f"a wide residual network has depth 6 blocks + 4 (10, 16, 22, 28, ...), but got "
                f"{depth}"
            )

        blocks, width = (depth - 4) // 6, 16 * widen
        self.conv = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.stage1 = _stage(blocks, 16, width, 1, dropout)
        self.stage2 = _stage(blocks, width, 2 * width, 2, dropout)
        self.stage3 = _stage(blocks, 2 * width, 4 * width, 2, dropout)
        self.bn = nn.BatchNorm2d(4 * width)
        self.fc = nn.Linear(4 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stage3(self.stage2(self.stage1(self.conv(x))))
        return self.fc(F.relu(self.bn(x)).mean((2, 3)))


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.drop = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.shortcut = None
        if inputs != outputs:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(self.bn1(x))
        branch = self.conv2(self.drop(F.relu(self.bn2(self.conv1(active)))))
        return branch + (x if self.shortcut is None else self.shortcut(active))


def _stage(blocks: int, inputs: int, outputs: int, stride: int, dropout: float) -> nn.Sequential:
    first = _Block(inputs, outputs, stride, dropout)
    rest = [_Block(outputs, outputs, 1, dropout) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)


def wrn_28_10(classes: int = 10, dropout: float = 0.0) -> WideResNet:
    """WRN-28-10: 36,479,194 parameters for ten classes, 36,536,884 for a hundred."""
    return WideResNet(28, 10, classes, dropout)


def wrn_16_4(classes: int = 10, dropout: float = 0.0) -> WideResNet:
    """WRN-16-4: 2,748,890 parameters for ten classes."""
    return WideResNet(16, 4, classes, dropout)


def wrn_small(classes: int = 10, dropout: float = 0.0) -> WideResNet:
    """WRN-10-2, small enough for a laptop: 303,706 parameters for ten classes."""
    return WideResNet(10, 2, classes, dropout)
