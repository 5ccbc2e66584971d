r"""Operations after which a sample may stay deferred: products with gates, and views."""

__all__: list[str] = []

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pyro_sparse.local.deferred import Deferred, View, handles


@handles(torch.mul, torch.multiply, Tensor.mul, Tensor.multiply, Tensor.__mul__, Tensor.__rmul__)
def _multiply(left: Any, right: Any, **kwargs: Any) -> Any:
    if not isinstance(left, Deferred):
        left, right = right, left

    gated = left.gates or (isinstance(right, Deferred) and right.gates)
    weights = [f for f in (left, right) if isinstance(f, Deferred) and f.weight is not None]
    if kwargs or not gated or len(weights) == 2 or not isinstance(right, Tensor):
        return NotImplemented

    return left.times(right)


def _sees(reshaped_only: bool, *functions: Callable) -> None:
    for function in functions:

        @handles(function)
        def _view(
            deferred: Deferred, *args: Any, _function: Callable = function, **kwargs: Any
        ) -> Any:
            if reshaped_only and len(deferred.factors) + (deferred.tensor is not None) > 1:
                return NotImplemented

            view: View = lambda tensor: _function(tensor, *args, **kwargs)  # noqa: E731
            return deferred.through(view, reshaped_only)


_sees(False, torch.t, Tensor.t, Tensor.T.__get__, Tensor.mT.__get__)  # type: ignore[attr-defined]
_sees(False, torch.transpose, Tensor.transpose, torch.permute, Tensor.permute)
_sees(False, torch.swapaxes, Tensor.swapaxes, torch.movedim, Tensor.movedim)
_sees(True, torch.reshape, Tensor.reshape, Tensor.view, torch.flatten, Tensor.flatten)
_sees(True, torch.unsqueeze, Tensor.unsqueeze, torch.squeeze, Tensor.squeeze)


@handles(Tensor.__getitem__)
def _new_axes(deferred: Deferred, index: Any) -> Any:
    index = index if isinstance(index, tuple) else (index,)
    whole = all(i is None or i is Ellipsis or i == slice(None) for i in index)
    if not whole or len(deferred.factors) + (deferred.tensor is not None) > 1:
        return NotImplemented
    return deferred.through(lambda tensor: tensor[index], True)
