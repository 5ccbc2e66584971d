r"""Local samples in matrix products: `F.linear`, `x @ w` and `x @ w.T`."""

__all__: list[str] = []

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pyro_sparse.local.deferred import Deferred, as_weight, handles
from pyro_sparse.local.slots import Operation, apply_locally

_LINEAR = Operation(F.linear, in_dim=1, out_dim=0)
_VECTOR = Operation(F.linear, in_dim=0, out_dim=None)


def _product(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    output = input @ weight
    return output if bias is None else output + bias


def _columns(weight: Tensor) -> Operation:
    """A product with a weight on the right, whose last two dimensions are the matrix."""
    if weight.ndim == 1:
        return Operation(_product, in_dim=0, out_dim=None)
    return Operation(_product, in_dim=weight.ndim - 2, out_dim=weight.ndim - 1)


@handles(F.linear)
def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    operation = _VECTOR if weight.ndim == 1 else _LINEAR
    return apply_locally(operation, input, weight, bias)


@handles(torch.matmul, Tensor.matmul, Tensor.__matmul__)
def _matmul(input: Tensor, other: Tensor, **kwargs: Any) -> Tensor:
    if not isinstance(other, Deferred):
        return NotImplemented
    if not other.is_weight and other.ndim <= 2:
        # A weight, or activations on their side: both are right with one draw.
        return torch.matmul(input, as_weight(other), **kwargs)

    twice = isinstance(input, Deferred) and input.is_weight
    if kwargs or twice or not other.is_weight:
        return NotImplemented
    return apply_locally(_columns(other), input, other, None)


@handles(torch.mm, Tensor.mm)
def _mm(input: Tensor, mat2: Tensor, **kwargs: Any) -> Tensor:
    return _matmul(input, mat2, **kwargs)


@handles(torch.mv, Tensor.mv)
def _mv(input: Tensor, vec: Tensor, **kwargs: Any) -> Tensor:
    return _matmul(input, vec, **kwargs)


@handles(torch.bmm, Tensor.bmm)
def _bmm(input: Tensor, mat2: Tensor, **kwargs: Any) -> Tensor:
    return _matmul(input, mat2, **kwargs)


@handles(Tensor.__rmatmul__)
def _rmatmul(other: Tensor, input: Tensor) -> Tensor:
    return _matmul(input, other)


@handles(torch.addmm)
def _addmm(input: Tensor, mat1: Tensor, mat2: Tensor, **kwargs: Any) -> Tensor:
    weighted = kwargs or input.ndim != 1
    if weighted or isinstance(mat1, Deferred) or not isinstance(mat2, Deferred):
        return NotImplemented
    return apply_locally(_columns(mat2), mat1, mat2, input)
