r"""Local samples in matrix products: `F.linear`, `x @ w` and `x @ w.T`."""

__all__: list[str] = []

import torch
import torch.nn.functional as F
from torch import Tensor

from pyro_sparse.local.deferred import Deferred, handles
from pyro_sparse.local.slots import Operation, apply_locally

_LINEAR = Operation(F.linear, in_dim=1, out_dim=0)


def _product(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    output = input @ weight
    return output if bias is None else output + bias


_MATMUL = Operation(_product, in_dim=0, out_dim=1)


@handles(F.linear)
def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return apply_locally(_LINEAR, input, weight, bias)


@handles(torch.matmul, torch.mm, Tensor.matmul, Tensor.mm, Tensor.__matmul__)
def _matmul(input: Tensor, other: Tensor) -> Tensor:
    local = isinstance(other, Deferred) and other.is_weight and other.ndim == 2
    if not local or (isinstance(input, Deferred) and input.is_weight):
        return NotImplemented
    return apply_locally(_MATMUL, input, other, None)


@handles(Tensor.__rmatmul__)
def _rmatmul(other: Tensor, input: Tensor) -> Tensor:
    return _matmul(input, other)


@handles(torch.addmm)
def _addmm(
    bias: Tensor, input: Tensor, other: Tensor, *, beta: float = 1, alpha: float = 1
) -> Tensor:
    plain = beta == 1 and alpha == 1 and bias.ndim == 1
    if not plain or isinstance(input, Deferred) or not isinstance(other, Deferred):
        return NotImplemented
    return apply_locally(_MATMUL, input, other, bias)
