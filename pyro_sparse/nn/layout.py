r"""Where a layer's units are: which dimension of its weight, and where in its activations."""

__all__ = ["Layout", "layout_of"]

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd


@dataclass(frozen=True)
class Layout:
    r"""The units of a layer.

    Args:
        in_dim: Dimension of the weight that counts the layer's inputs, None for none.
        out_dim: Dimension of the weight that counts the layer's outputs.
        positions: Number of dimensions right of an activation's channel dimension.
        groups: Number of groups the channels are split into.
        tiled: The dimension of the weight that holds the channels of one group only, if any.
    """

    in_dim: int | None
    out_dim: int
    positions: int = 0
    groups: int = 1
    tiled: int | None = None

    def units(self, weight: Tensor, dim: int) -> int:
        r"""Number of units along a dimension of the weight."""

        return weight.shape[dim] * (self.groups if dim == self.tiled else 1)


def layout_of(module: nn.Module) -> Layout | None:
    r"""The layout of a layer, None for a module that has none.

    Args:
        module: Any module.
    """

    if isinstance(module, _ConvNd):
        positions = len(module.kernel_size)
        if isinstance(module, _ConvTransposeNd):
            return Layout(0, 1, positions, module.groups, tiled=1)
        return Layout(1, 0, positions, module.groups, tiled=1)
    if isinstance(module, nn.Linear):
        return Layout(in_dim=1, out_dim=0)
    if isinstance(module, nn.Embedding):
        return Layout(in_dim=None, out_dim=1)
    if isinstance(module, nn.Bilinear):
        return Layout(in_dim=None, out_dim=0)
    return None
