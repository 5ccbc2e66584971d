r"""What an operation does with deferred products in its weight, bias and input slots.

With a local weight of elementwise mean `m` and variance `v`, the pre-activation of an operation
that is linear in its weight is normal, independent between examples and positions given one draw
each, and is drawn in the weight's stead (Kingma, Salimans and Welling, 2015):

    y = op(x, m) + sqrt(op(x^2, v)) * eps

A gate on the input side multiplies the input, one on the output side the output before the bias.
"""

__all__ = ["Operation", "apply_locally"]

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pyro_sparse.local.deferred import Deferred, Factor, as_activation
from pyro_sparse.local.noise import noise
from pyro_sparse.local.precision import lowered

Call = Callable[[Tensor, Tensor, Tensor | None], Tensor]


@dataclass(frozen=True)
class Operation:
    r"""How an operation uses its weight slot.

    Args:
        call: `call(input, weight, bias)`; linear in the weight and the bias together.
        in_dim: Dimension of the weight that meets the input's channels, if there is one.
        out_dim: Dimension of the weight that becomes the output's channels, if there is one.
        positions: Number of dimensions right of an activation's channel dimension.
        groups: Number of groups the channels are split into.
        tiled: The weight's dimension that holds one group's channels only, if any.
        spread: `spread(input, variance, bias)`, what `call` does to variances; by default `call`
            on the square of the input.
    """

    call: Call
    in_dim: int | None
    out_dim: int | None
    positions: int = 0
    groups: int = 1
    tiled: int | None = None
    spread: Call | None = None

    def variance(self, input: Tensor, variance: Tensor, bias: Tensor | None) -> Tensor:
        r"""The variance of a pre-activation, from those of the weight and the bias."""

        if self.spread is not None:
            return self.spread(input, variance, bias)
        offset = None if bias is None else lowered(bias)
        return self.call(lowered(input.square()), lowered(variance), offset)


@dataclass
class _Slot:
    """The contents of a weight or bias slot, sorted by what is done with them."""

    mean: Tensor
    variance: Tensor | None
    inner: list[Factor]
    outer: list[Factor]


def apply_locally(
    operation: Operation, input: Tensor, weight: Tensor, bias: Tensor | None
) -> Tensor:
    r"""Runs an operation whose weight or bias may be deferred.

    Args:
        operation: The operation.
        input: Activations, `(*batch, channels, *positions)`.
        weight: The contents of the weight slot.
        bias: The contents of the bias slot, `(channels,)`.
    """

    input = as_activation(input)
    slot = _weight_slot(operation, weight)
    offset = None if bias is None else _bias_slot(bias)

    for gate in slot.inner:
        input = input * gate.along(input)

    if not slot.outer and (offset is None or not offset.outer):
        fused = (None, None) if offset is None else (offset.mean, offset.variance)
        return _pre_activation(operation, input, slot, *fused)

    output = _pre_activation(operation, input, slot, None, None)
    for gate in slot.outer:
        output = output * gate.along(output)

    return output if offset is None else output + _late_bias(operation, output, offset)


def _pre_activation(
    operation: Operation, input: Tensor, slot: _Slot, mean: Tensor | None, var: Tensor | None
) -> Tensor:
    output = operation.call(input, slot.mean, mean)
    if slot.variance is None:
        return output if var is None else output + noise(output, _beside(operation, var))

    return output + noise(output, operation.variance(input, slot.variance, var))


def _late_bias(operation: Operation, output: Tensor, slot: _Slot) -> Tensor:
    bias = _beside(operation, slot.mean)
    if slot.variance is not None:
        bias = bias + noise(output, _beside(operation, slot.variance))

    for gate in slot.outer:
        seen = gate.through(lambda tensor: _beside(operation, tensor), True)
        bias = bias * seen.along(output)
    return bias


def _beside(operation: Operation, bias: Tensor) -> Tensor:
    return bias.reshape(*bias.shape, *(1,) * operation.positions)


def _bias_slot(bias: Tensor) -> _Slot:
    if not isinstance(bias, Deferred):
        return _Slot(bias, None, [], [])

    mean, variance = _moments(bias)
    return _Slot(mean, variance, [], list(bias.gates))


def _weight_slot(operation: Operation, weight: Tensor) -> _Slot:
    if not isinstance(weight, Deferred):
        return _Slot(weight, None, [], [])

    inner, outer, entries = [], [], []
    for gate in weight.gates:
        shape = (1,) * (weight.ndim - len(gate.shape)) + tuple(gate.shape)
        sides = {dim for dim, size in enumerate(shape) if size != 1}

        if gate.draw.is_number or not sides <= {operation.in_dim, operation.out_dim}:
            entries.append(gate)
        elif sides == {operation.in_dim}:
            inner.append(_facing(operation, gate, operation.in_dim))
        elif sides <= {operation.out_dim}:
            outer.append(_facing(operation, gate, operation.out_dim))
        else:
            entries.append(gate)

    mean, variance = _moments(weight)
    for gate in entries:
        number = gate.number()
        mean = mean * number
        variance = None if variance is None else variance * number.square()
    return _Slot(mean, variance, inner, outer)


def _facing(operation: Operation, gate: Factor, dim: int | None) -> Factor:
    """The gate of a side of the weight, shaped like the channels of an activation."""
    size = math.prod(gate.shape)
    tiles = operation.groups if dim == operation.tiled and size > 1 else 1

    def channels(tensor: Tensor) -> Tensor:
        flat = tensor.reshape(size)
        return _beside(operation, flat.repeat(tiles) if tiles > 1 else flat)

    return gate.through(channels, tiles == 1)


def _moments(deferred: Deferred) -> tuple[Tensor, Tensor | None]:
    """Mean and variance of the weight slot's contents without its gates."""
    tensor, weight = deferred.tensor, deferred.weight
    if weight is None:
        assert tensor is not None or deferred.gates
        mean = tensor if tensor is not None else _ones(deferred)
        return mean, None

    if not weight.draw.has_moments:
        mean, variance = weight.number(), None
    else:
        mean, variance = weight.moments()

    if tensor is None:
        return mean, variance
    return mean * tensor, None if variance is None else variance * tensor.square()


def _ones(deferred: Deferred) -> Tensor:
    return torch.ones(deferred.shape, dtype=deferred.dtype, device=deferred.device)
