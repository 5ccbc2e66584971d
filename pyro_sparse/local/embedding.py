r"""Local samples in embeddings: a row of the table is drawn for each place that looks it up."""

__all__: list[str] = []

import torch.nn.functional as F
from torch import Tensor

from pyro_sparse.local.deferred import Deferred, handles
from pyro_sparse.local.slots import Operation, apply_locally


@handles(F.embedding)
def _embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    if max_norm is not None or scale_grad_by_freq or sparse or isinstance(input, Deferred):
        return NotImplemented

    def look_up(indices: Tensor, table: Tensor, bias: Tensor | None) -> Tensor:
        return F.embedding(indices, table, padding_idx)

    operation = Operation(look_up, in_dim=None, out_dim=1, spread=look_up)
    return apply_locally(operation, input, weight, None)
