r"""Local samples in bilinear forms of two activations."""

__all__: list[str] = []

import torch.nn.functional as F
from torch import Tensor

from pyro_sparse.local.deferred import as_activation, handles
from pyro_sparse.local.slots import Operation, apply_locally


@handles(F.bilinear)
def _bilinear(
    input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None
) -> Tensor:
    second = as_activation(input2)

    def form(first: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
        return F.bilinear(first, second, w, b)

    def spread(first: Tensor, v: Tensor, b: Tensor | None) -> Tensor:
        return F.bilinear(first.square(), second.square(), v, b)

    operation = Operation(form, in_dim=1, out_dim=0, spread=spread)
    return apply_locally(operation, input1, weight, bias)
