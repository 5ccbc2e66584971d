r"""A gate that no longer varies is part of the parameters beside it."""

__all__ = ["fold_gate", "make_affine"]

from typing import Any

from torch import Tensor, nn

from pyro_sparse.nn.layout import Layout, layout_of


def fold_gate(
    layer: nn.Module, name: str, value: Tensor, gate: Tensor | None, gate_dim: str | None
) -> Tensor:
    r"""A parameter of a gated layer, with the gate's values multiplied in.

    Args:
        layer: The layer, or a batch norm.
        name: "weight" or "bias".
        value: The parameter.
        gate: The gate's values, one for each unit, for each head, or for all; None for no gate.
        gate_dim: "in", "head", "out", "weight" or "layer"; None for no gate.
    """

    if gate is None or (name == "bias" and gate_dim not in ("out", "layer")):
        return value.detach().clone()

    layout = layout_of(layer)
    if layout is None or name == "bias" or gate_dim in ("weight", "layer"):
        return value.detach() * gate

    dim = layout.out_dim if gate_dim == "out" else layout.in_dim
    assert dim is not None
    if gate_dim == "head":
        gate = gate.repeat_interleave(value.shape[dim] // len(gate))
    return value.detach() * _spread(layout, value, gate, dim)


def make_affine(norm: Any) -> None:
    r"""Gives a batch norm without a weight and a bias those that change nothing, in place.

    Args:
        norm: Any batch norm.
    """

    if not norm.affine:
        norm.affine = True
        norm.weight = nn.Parameter(norm.running_mean.new_ones(norm.num_features))
        norm.bias = nn.Parameter(norm.running_mean.new_zeros(norm.num_features))


def _spread(layout: Layout, weight: Tensor, gate: Tensor, dim: int) -> Tensor:
    """The gate beside the weight: channels counted over all groups meet their own group's."""
    trailing = (1,) * (weight.ndim - dim - 1)
    if dim != layout.tiled or layout.groups == 1:
        return gate.reshape(-1, *trailing)

    # (groups, channels of one group) beside (groups x channels of the other side, channels)
    other = weight.shape[0] // layout.groups
    rows = gate.reshape(layout.groups, -1).repeat_interleave(other, 0)
    return rows.reshape(*rows.shape, *trailing)
