r"""Where a layer's units are: which dimension of its weight, and where in its activations."""

__all__ = ["Layout", "check_initialised", "is_plain", "layout_of"]

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear
from torch.nn.parameter import UninitializedParameter


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


def layout_of(module: nn.Module | None) -> Layout | None:
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


def is_plain(module: nn.Module | None) -> bool:
    r"""Whether a module is a layer whose parameters are read by the layer itself only.

    Args:
        module: Any module.
    """

    # Attention reads the parameters of its output projection without calling it.
    return layout_of(module) is not None and not isinstance(
        module, NonDynamicallyQuantizableLinear
    )


def check_initialised(name: str, module: nn.Module) -> None:
    r"""Raises an error for a lazy module that has not seen an input yet.

    Args:
        name: The module's path.
        module: The module.

    Raises:
        ValueError: A parameter has no shape yet.
    """

    own = module.parameters(recurse=False)
    if any(isinstance(parameter, UninitializedParameter) for parameter in own):
        raise ValueError(
            f"Layer '{name}' ({type(module).__name__}) is not initialised yet. "
            "Run the network once on an example before converting it."
        )
