"""ResNet-20 and ResNet-32 for images of 32x32 pixels."""

__all__ = ["ResNet", "resnet20", "resnet32"]

import torch.nn.functional as F
from torch import Tensor, nn


class ResNet(nn.Module):
    """A residual network of three stages with `blocks` blocks each: 6 blocks + 2 layers deep.

    Where the resolution halves and the width doubles, the shortcut takes every second position
    and pads the new channels with zeros: it has no parameters.

    References:
        Deep Residual Learning for Image Recognition (He, Zhang, Ren, Sun, 2015),
        https://arxiv.org/abs/1512.03385

    Args:
        blocks: residual blocks a stage.
        classes: outputs.
        width: channels of the first stage.
        dropout: rate between the two convolutions of a block, where wide residual networks
            have it; the paper has none.
    """

    def __init__(
        self, blocks: int, classes: int = 10, width: int = 16, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        self.stage1 = _stage(blocks, width, width, dropout)
        self.stage2 = _stage(blocks, width, 2 * width, dropout)
        self.stage3 = _stage(blocks, 2 * width, 4 * width, dropout)
        self.fc = nn.Linear(4 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn(self.conv(x)))
        x = self.stage3(self.stage2(self.stage1(x)))
        return self.fc(x.mean((2, 3)))


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__()
        stride = 1 if inputs == outputs else 2
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.drop = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.added = outputs - inputs

    def forward(self, x: Tensor) -> Tensor:
        branch = self.drop(F.relu(self.bn1(self.conv1(x))))
        branch = self.bn2(self.conv2(branch))

        if self.added:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.added // 2, self.added // 2))

        return F.relu(branch + x)


def _stage(blocks: int, inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    first = _Block(inputs, outputs, dropout)
    rest = [_Block(outputs, outputs, dropout) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)


def resnet20(classes: int = 10, width: int = 16, dropout: float = 0.0) -> ResNet:
    """ResNet-20: 269,722 parameters for ten classes."""
    return ResNet(3, classes, width, dropout)


def resnet32(classes: int = 10, width: int = 16, dropout: float = 0.0) -> ResNet:
    """ResNet-32: 464,154 parameters for ten classes."""
    return ResNet(5, classes, width, dropout)
