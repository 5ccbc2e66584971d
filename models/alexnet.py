"""AlexNet for images of 32x32 pixels."""

__all__ = ["alexnet"]

from collections import OrderedDict

from torch import nn


def alexnet(classes: int = 10, hidden: int = 4096, dropout: float = 0.5) -> nn.Sequential:
    """Five convolutions and three dense layers, with AlexNet's widths and kernels of 3x3.

    The strides and large kernels of the original are for images of 224 pixels; on 32 pixels
    every stage would be a single position.

    References:
        ImageNet Classification with Deep Convolutional Neural Networks (Krizhevsky, Sutskever,
        Hinton, 2012), https://doi.org/10.1145/3065386

    Args:
        classes: outputs.
        hidden: units of `fc1` and `fc2`.
        dropout: rate before `fc1` and `fc2`.
    """
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 64, 3, stride=2, padding=1),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(64, 192, 3, padding=1),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            conv3=nn.Conv2d(192, 384, 3, padding=1),
            relu3=nn.ReLU(),
            conv4=nn.Conv2d(384, 256, 3, padding=1),
            relu4=nn.ReLU(),
            conv5=nn.Conv2d(256, 256, 3, padding=1),
            relu5=nn.ReLU(),
            pool5=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            drop1=nn.Dropout(dropout),
            fc1=nn.Linear(256 * 2 * 2, hidden),
            relu6=nn.ReLU(),
            drop2=nn.Dropout(dropout),
            fc2=nn.Linear(hidden, hidden),
            relu7=nn.ReLU(),
            fc3=nn.Linear(hidden, classes),
        )
    )
