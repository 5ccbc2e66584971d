r"""Samples that remember their law."""

__all__ = [
    "Deferred",
    "Local",
    "SecondUseError",
    "law_tensors",
    "mark_weight",
    "peel",
    "variances_in",
    "with_law_tensors",
]

from pyro_sparse.local import (  # noqa: F401
    algebra,
    bilinear,
    convolution,
    einsum,
    embedding,
    linear,
)
from pyro_sparse.local.deferred import Deferred, mark_weight
from pyro_sparse.local.draw import SecondUseError
from pyro_sparse.local.law import Local, peel
from pyro_sparse.local.parameters import law_tensors, with_law_tensors
from pyro_sparse.local.precision import variances_in
