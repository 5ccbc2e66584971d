"""The networks, and the learning rate that each stands."""

__all__ = ["NETS", "Net"]

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from models.alexnet import alexnet
from models.resnet import resnet20, resnet32
from models.vgg import vgg
from models.wide_resnet import wrn_16_4, wrn_28_10


@dataclass(frozen=True)
class Net:
    """A network.

    Attributes:
        build: Makes it, given the number of classes and whether it has binary dropout.
        lr: Learning rate of SGD.
        penalty: Nats for each weight that a gate controls, where a method has a penalty. It was
            not tuned; large networks want less, as they have more weights for the same data.
    """

    build: Callable[[int, bool], nn.Module]
    lr: float
    penalty: float


def _rate(wanted: bool, rate: float) -> float:
    return rate if wanted else 0.0


NETS = {
    # without norms it stands no larger one
    "alexnet": Net(lambda n, drop: alexnet(n, dropout=_rate(drop, 0.5)), 0.02, 0.001),
    "vgg": Net(lambda n, drop: vgg(n, dropout=drop), 0.05, 0.001),
    "resnet20": Net(lambda n, drop: resnet20(n, dropout=_rate(drop, 0.1)), 0.1, 0.02),
    "resnet32": Net(lambda n, drop: resnet32(n, dropout=_rate(drop, 0.1)), 0.1, 0.02),
    "wrn_16_4": Net(lambda n, drop: wrn_16_4(n, _rate(drop, 0.3)), 0.1, 0.005),
    "wrn_28_10": Net(lambda n, drop: wrn_28_10(n, _rate(drop, 0.3)), 0.1, 0.001),
}
