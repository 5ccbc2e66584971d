"""Networks to convert, and what to ask of them."""

import torch
from torch import Tensor, nn

from pyro_sparse.prior import Prior


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))


def priors(net: nn.Module) -> dict[str, Prior]:
    return {module.site: module for module in net.modules() if isinstance(module, Prior)}


def old(net: nn.Module) -> dict[str, Tensor]:
    """The values of a network's parameters, under the names of the sites they become."""
    return {name: parameter.detach() for name, parameter in net.named_parameters()}


class Nested(nn.Module):
    """Containers of every kind, buffers, a parameter of its own and a normalisation."""

    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), nn.Tanh())])
        self.heads = nn.ModuleDict({"mean": nn.Linear(4, 2), "noise": nn.Linear(4, 2, bias=False)})
        self.norm = nn.BatchNorm1d(4)
        self.shift = nn.Parameter(torch.randn(4))
        self.register_buffer("scale", torch.full((4,), 2.0))

    def forward(self, x: Tensor, head: str = "mean") -> Tensor:
        for block in self.blocks:
            x = block(x) * self.scale + self.shift
        return self.heads[head](self.norm(x))


class Tied(nn.Module):
    """An embedding whose weight is the output layer's too."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
        self.output = nn.Linear(3, 5)
        self.output.weight = self.embedding.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.embedding(x).mean(1))


class Repeated(nn.Module):
    """One layer under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.second = self.first
        self.last = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.second(self.first(x).tanh()))
