"""Networks of many kinds with random exact zeros, and the equality every compaction owes."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from models.lenet import lenet5, mlp
from pyro_sparse.prune import compact
from pyro_sparse.prune.surgery import CompactModule

LIMITS = {torch.float32: 1e-5, torch.float64: 1e-10}


def assert_same(net: nn.Module, smaller: nn.Module, x: Any) -> None:
    """Equal outputs in evaluation mode, to the tolerance that `compact` promises."""
    inputs = x if isinstance(x, tuple) else (x,)
    with torch.no_grad():
        pairs = zip(tree_leaves(net.eval()(*inputs)), tree_leaves(smaller(*inputs)), strict=True)

    for before, after in pairs:
        assert before.shape == after.shape
        error = (before - after).abs().max() / before.abs().max().clamp(min=1e-30)
        assert error <= LIMITS[before.dtype], f"outputs differ by {error:.1e} of the largest"


def compacted(net: nn.Module, x: Any, **options: Any) -> CompactModule:
    """The compact form of a network, after making sure that it computes the same."""
    smaller = compact(net.eval(), x, **options)
    assert_same(net, smaller, x)
    return smaller


def zero(parameter: Any, *index: Any) -> None:
    """Sets entries of a parameter to exactly 0."""
    with torch.no_grad():
        parameter[index] = 0.0


def widths(net: nn.Module) -> dict[str, tuple[int, int]]:
    """Inputs and outputs of every layer by name."""
    found = {}
    for name, module in net.named_modules():
        if isinstance(module, nn.Linear):
            found[name] = (module.in_features, module.out_features)
        elif hasattr(module, "in_channels"):
            found[name] = (module.in_channels, module.out_channels)

    return found


def sprinkle(net: nn.Module, seed: int) -> nn.Module:
    """Zeros at random: rows, columns, single weights, whole layers, norms, biases."""
    choice = random.Random(seed)
    torch.manual_seed(seed)
    level = choice.choice([0.1, 0.4, 1.0])

    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                _sprinkle_norm(module, choice, level)
            elif isinstance(weight := getattr(module, "weight", None), nn.Parameter):
                _sprinkle_weight(weight, choice, level)
                bias = getattr(module, "bias", None)
                if isinstance(bias, nn.Parameter) and choice.random() < 0.4:
                    bias[torch.rand(bias.shape) < 0.7] = 0

    return net


def _sprinkle_norm(norm: nn.BatchNorm1d | nn.BatchNorm2d, choice: random.Random, p: float) -> None:
    assert norm.running_mean is not None and norm.running_var is not None
    nn.init.normal_(norm.running_mean)
    nn.init.uniform_(norm.running_var, 0.5, 2.0)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)

    if choice.random() < p:
        closed = torch.rand(norm.num_features) < choice.random()
        norm.weight[closed] = 0
        norm.bias[closed & (torch.rand(norm.num_features) < 0.7)] = 0


def _sprinkle_weight(weight: Tensor, choice: random.Random, p: float) -> None:
    if choice.random() < p:
        weight[torch.rand(weight.shape[0]) < choice.random()] = 0
    if weight.dim() > 1 and choice.random() < p:
        weight[:, torch.rand(weight.shape[1]) < choice.random()] = 0
    if choice.random() < p:
        weight[torch.rand(weight.shape) < choice.random()] = 0
    if choice.random() < 0.06 * p:
        weight.zero_()


class Dense(nn.Module):
    """Every layer reads all that came before, as in DenseNet."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 6, 3, padding=1, bias=False)
        self.layers = nn.ModuleList(self.layer(6 + 4 * i) for i in range(3))
        self.norm = nn.BatchNorm2d(18)
        self.head = nn.Linear(18, 5)

    @staticmethod
    def layer(inputs: int) -> nn.Sequential:
        return nn.Sequential(
            nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, 4, 3, padding=1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        found = [self.stem(x)]
        for layer in self.layers:
            found.append(layer(torch.cat(found, 1)))

        return self.head(F.relu(self.norm(torch.cat(found, 1))).mean((2, 3)))


class Block(nn.Module):
    """A residual block as in ResNet."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += self.shortcut(x)
        return self.relu(out)


class Residual(nn.Module):
    """Three residual blocks and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 6, 3, padding=1)
        self.blocks = nn.Sequential(Block(6, 6), Block(6, 8, stride=2), Block(8, 8))
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.stem(x))
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


class ResidualMLP(nn.Module):
    """Residual branches of linear layers, and two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.branches = nn.ModuleList(
            nn.Sequential(nn.Linear(8, 5), nn.ELU(), nn.Linear(5, 8)) for _ in range(3)
        )
        self.last = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.first(x)
        for branch in self.branches:
            x = x + branch(x)

        return self.last(F.softplus(x)), x.sum(-1)


class Grouped(nn.Module):
    """Grouped, depthwise and transposed convolutions, squeeze and excitation, a scale."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 6, 3)
        self.squeeze = nn.Linear(6, 4)
        self.excite = nn.Linear(4, 6)
        self.grouped = nn.Conv2d(6, 8, 2, groups=2)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.scale = nn.Parameter(torch.randn(8, 1, 1))
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2, groups=2)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv(x))
        gate = torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean((2, 3))))))
        x = self.grouped(x * gate.unsqueeze(-1).unsqueeze(-1))
        x = self.depthwise(F.max_pool2d(x, 2)) * self.scale
        return self.head(F.adaptive_avg_pool2d(F.hardswish(self.up(x)), 1).flatten(1))


class Words(nn.Module):
    """An embedding, a convolution over time, a reshape with literal sizes, two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.conv = nn.Conv1d(8, 6, 3)
        self.hidden = nn.Linear(6 * 5, 7)
        self.last = nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.conv(self.embed(x).transpose(1, 2)))
        return self.last(torch.sigmoid(self.hidden(x.view(x.size(0), 6 * 5))))


class Asking(nn.Module):
    """Checks a shape, which symbolic tracing cannot follow."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 6, 3, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.fc = nn.Linear(54, 5)
        self.last = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] != 2:
            raise ValueError("two channels, please")

        x = torch.max_pool2d(torch.relu_(self.norm(self.conv(x))), 2)
        return self.last(torch.relu(self.fc(x.reshape(x.shape[0], -1))))


def normed_mlp() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(10, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(), nn.Linear(8, 7),
        nn.PReLU(7), nn.Linear(7, 3),
    )  # fmt: skip


@dataclass(frozen=True)
class Family:
    """A kind of network: how to build one and what goes in."""

    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    words: int = 0

    def inputs(self) -> Tensor:
        return torch.randint(self.words, self.shape) if self.words else 3 * torch.randn(self.shape)


FAMILIES = {
    "mlp": Family(lambda: mlp(12, 9, 8, 4), (5, 12)),
    "mlp with norm": Family(normed_mlp, (5, 10)),
    "lenet5": Family(lambda: lenet5((4, 6, 9)), (2, 1, 28, 28)),
    "residual mlp": Family(ResidualMLP, (5, 6)),
    "residual": Family(Residual, (2, 2, 8, 8)),
    "dense": Family(Dense, (2, 2, 6, 6)),
    "grouped": Family(Grouped, (2, 2, 9, 9)),
    "words": Family(Words, (3, 7), words=11),
}


def density(net: nn.Module, smaller: nn.Module) -> float:
    """Parameters left, as a share."""
    after, before = (sum(math.prod(p.shape) for p in n.parameters()) for n in (smaller, net))
    return after / before
