r"""Local samples in embeddings: a row of the table is drawn for each place that looks it up.

The row of the padding is no parameter of the likelihood, and stays what it is: it has no noise.
"""

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

    def spread(indices: Tensor, variance: Tensor, bias: Tensor | None) -> Tensor:
        rows = look_up(indices, variance, bias)
        if padding_idx is None:
            return rows
        padded = indices == padding_idx % len(weight)
        return rows.masked_fill(padded.unsqueeze(-1), 0.0)

    operation = Operation(look_up, in_dim=None, out_dim=1, spread=spread)
    return apply_locally(operation, input, weight, None)
