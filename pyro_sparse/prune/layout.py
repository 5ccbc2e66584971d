"""Sparse storage for what only single zeros thin out."""

__all__ = ["SparseLinear", "to_sparse"]

import copy
import warnings

import torch
from torch import Tensor, nn


class SparseLinear(nn.Module):
    r"""A linear layer that stores the non-zeros of its weight only, row by row (CSR).

    For inference: nothing here is trained. The product is computed as :math:`(W x^T)^T`, for
    which torch has a fast kernel; `F.linear` with a sparse weight is two to four times slower on
    a batch.

    Args:
        linear: the layer to copy.

    Example:
        >>> layer = SparseLinear(nn.Linear(3, 2))
        >>> layer
        SparseLinear(in_features=3, out_features=2, bias=True, nonzeros=6)
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features

        with warnings.catch_warnings():
            # Torch announces that this layout is young; there is nothing for a user to do.
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
            weight = linear.weight.detach().to_sparse_csr()

        self.weight = nn.Parameter(weight, requires_grad=False)
        bias = linear.bias
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone(), False)

    def extra_repr(self) -> str:
        sizes = f"in_features={self.in_features}, out_features={self.out_features}"
        return f"{sizes}, bias={self.bias is not None}, nonzeros={self.weight.values().numel()}"

    def forward(self, input: Tensor) -> Tensor:
        rows = input.reshape(-1, self.in_features)
        output = torch.sparse.mm(self.weight, rows.T).T
        output = output if self.bias is None else output + self.bias
        return output.reshape(*input.shape[:-1], self.out_features)


def to_sparse(net: nn.Module, below: float = 0.05) -> nn.Module:
    """A copy of a network whose thin linear layers are stored and computed sparsely.

    For the single zeros of sparse variational dropout, after `compact` has taken away what goes
    as a whole. Convolutions stay dense: torch has no sparse ones. Where it pays depends on the
    machine and on the batch, see `examples/benchmarks/compact_latency.py`: on one CPU core
    LeNet-300-100 with one weight in ten or fewer left was several times faster on a batch of
    256, but slower on single examples, where the overhead of a sparse product counts.

    Args:
        net: any network; it is not changed.
        below: layers whose share of non-zeros is smaller than this are replaced.
    """
    if not 0 <= below <= 1:
        raise ValueError(f"to_sparse needs a density in [0, 1], but got below={below}")

    sparse = copy.deepcopy(net)
    for name, module in list(sparse.named_modules()):
        if type(module) is nn.Linear and _density(module) < below:
            if not name:
                return SparseLinear(module)
            sparse.set_submodule(name, SparseLinear(module))

    return sparse


def _density(linear: nn.Linear) -> float:
    return int(torch.count_nonzero(linear.weight)) / max(linear.weight.numel(), 1)
