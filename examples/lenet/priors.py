"""Priors that differ from layer to layer, and where gates sit."""

__all__ = ["PerUnit", "PerWeight", "groups", "neurons"]

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Size, nn

from examples.lenet.laws import Bottleneck
from pyro_sparse.distributions import L0, GroupGaussianMixture


@dataclass(frozen=True)
class PerWeight:
    """An L0 law for the gates of each layer: its penalty times the weights a gate controls."""

    penalties: Mapping[str, float]

    def __call__(self, site: str, shape: Size, group_size: int) -> L0:
        return L0(self.penalties[site.split(".")[0]] * group_size)


@dataclass(frozen=True)
class PerUnit:
    """A bottleneck for the gates of each layer, with a strength of its own."""

    strengths: Mapping[str, float]

    def __call__(self, site: str, shape: Size, group_size: int) -> Bottleneck:
        return Bottleneck(self.strengths[site.split(".")[0]])


def neurons(site: str, shape: Size, group_size: int) -> GroupGaussianMixture:
    """A mixture of two normals for the weights of each output unit."""
    rows = (shape[0], *(1,) * (len(shape) - 1))
    half, wide, narrow = (torch.full(rows, value) for value in (0.5, 0.1, 0.01))
    return GroupGaussianMixture(half, wide, narrow)


def groups(name: str, module: nn.Module) -> str:
    """Gates sit on the maps of a convolution and on the inputs of a dense layer."""
    return "out" if isinstance(module, nn.Conv2d) else "in"
