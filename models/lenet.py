"""The two networks nearly every paper on sparse posteriors prunes: LeNet-300-100, LeNet-5."""

__all__ = ["lenet5", "lenet_300_100", "mlp"]

from collections import OrderedDict
from itertools import pairwise

from torch import nn


def mlp(*widths: int) -> nn.Sequential:
    """A feed-forward network of ReLU layers named `fc1`, `relu1`, `fc2`, ...

    Images are flattened first, so that `mlp(64, 300, 100, 10)` takes 8x8 digits as they come.

    Args:
        widths: inputs, hidden units layer by layer, outputs.
    """
    if len(widths) < 2 or min(widths) < 1:
        raise ValueError(
            f"mlp needs at least two positive widths, inputs and outputs, but got {widths}"
        )

    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    for number, (inputs, outputs) in enumerate(pairwise(widths), 1):
        layers[f"fc{number}"] = nn.Linear(inputs, outputs)
        layers[f"relu{number}"] = nn.ReLU()

    layers.popitem()
    return nn.Sequential(layers)


def lenet_300_100(inputs: int = 784, classes: int = 10) -> nn.Sequential:
    """LeNet-300-100, two hidden layers: 266,200 weights on 28x28 images.

    References:
        Gradient-Based Learning Applied to Document Recognition (LeCun, Bottou, Bengio, Haffner,
        1998), https://doi.org/10.1109/5.726791
    """
    return mlp(inputs, 300, 100, classes)


def lenet5(widths: tuple[int, int, int] = (20, 50, 500), classes: int = 10) -> nn.Sequential:
    """LeNet-5 as the Caffe examples changed it, 20-50-800-500: 430,500 weights.

    Two unpadded 5x5 convolutions, each followed by ReLU and 2x2 pooling, then two dense layers.
    Of the four numbers in a published architecture the third counts the flattened features that
    `fc1` reads, not maps.

    References:
        Gradient-Based Learning Applied to Document Recognition (LeCun, Bottou, Bengio, Haffner,
        1998), https://doi.org/10.1109/5.726791

    Args:
        widths: maps of `conv1`, maps of `conv2`, units of `fc1`.
        classes: outputs.
    """
    first, second, hidden = widths
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, first, 5),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(first, second, 5),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc1=nn.Linear(16 * second, hidden),
            relu3=nn.ReLU(),
            fc2=nn.Linear(hidden, classes),
        )
    )
