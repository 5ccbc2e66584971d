"""What compaction does to a network, as plain data: it can be saved, repeated and inspected."""

__all__ = ["Cut", "Plan", "orient", "restore"]

from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Cut:
    """Which entries of one parameter or buffer stay.

    Attributes:
        index: entries kept along `dim`; the output units of a layer.
        dim: the dimension that `index` counts.
        columns: for the weight of a layer, the inputs kept, one list for each kept group of the
            layer (an ordinary layer has one group); empty where nothing else is cut.
        transposed: number of groups of a transposed convolution, whose weight has its inputs
            first; 0 for all other layers.
        second: for the weight of a bilinear layer, the second inputs kept.
    """

    index: list[int]
    dim: int = 0
    columns: list[list[int]] = field(default_factory=list)
    transposed: int = 0
    second: list[int] = field(default_factory=list)

    def __call__(self, tensor: Tensor) -> Tensor:
        """Cuts any tensor shaped like the parameter: its values, posterior means or scales."""
        if self.transposed:
            tensor = orient(tensor, self.transposed)

        tensor = _select(tensor, self.dim, self.index)

        if self.columns:
            blocks = tensor.chunk(len(self.columns))
            pairs = zip(blocks, self.columns, strict=True)
            tensor = torch.cat([_select(block, 1, column) for block, column in pairs])

        if self.second:
            tensor = _select(tensor, 2, self.second)

        return restore(tensor, len(self.columns)) if self.transposed else tensor


@dataclass
class Plan:
    """Everything that turns a network into its compact form, its values excepted.

    Nodes are named as torch.fx names them when it traces the network.

    Attributes:
        cuts: what stays of each parameter and buffer, by path; others are untouched.
        sizes: new `in_features`, `groups` and the like, by module path.
        gathers: by layer, which of the units that arrive it reads: `(axis, positions)`.
        aliases: by node, the operand it now equals, the other one being a constant without effect.
        constants: by node, the operand that a stored constant replaces.
        operands: by concatenation, the operands that are left.
        reshapes: by node, new values of literal sizes, by position in its arguments.
        paddings: by node, new amounts of padding.
        kept: by layer, units that nothing needs but that could not be removed.
        reasons: by layer in `kept`, who holds them.
    """

    cuts: dict[str, Cut] = field(default_factory=dict)
    sizes: dict[str, dict[str, int]] = field(default_factory=dict)
    gathers: dict[str, tuple[int, list[int]]] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)
    constants: dict[str, int] = field(default_factory=dict)
    operands: dict[str, list[int]] = field(default_factory=dict)
    reshapes: dict[str, dict[str, int]] = field(default_factory=dict)
    paddings: dict[str, list[int]] = field(default_factory=dict)
    kept: dict[str, list[int]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def cut(self, path: str, tensor: Tensor) -> Tensor:
        """What is left of a tensor that is shaped like the parameter of that path.

        For carrying on with the posterior: cut its means and scales as the weights were cut.
        """
        return self.cuts[path](tensor) if path in self.cuts else tensor

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON knows it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Plan":
        """The plan that `to_dict` wrote."""
        cuts = {path: Cut(**cut) for path, cut in fields["cuts"].items()}
        gathers = {name: (axis, index) for name, (axis, index) in fields["gathers"].items()}
        return cls(**{**fields, "cuts": cuts, "gathers": gathers})


def orient(weight: Tensor, groups: int) -> Tensor:
    """The weight of a transposed convolution with its outputs first, as other layers have it."""
    blocks = weight.unflatten(0, (groups, -1))
    return blocks.transpose(1, 2).flatten(0, 1)


def restore(weight: Tensor, groups: int) -> Tensor:
    """The inverse of `orient`."""
    return orient(weight, groups)


def _select(tensor: Tensor, dim: int, index: list[int]) -> Tensor:
    return tensor.index_select(dim, torch.tensor(index, dtype=torch.long, device=tensor.device))
