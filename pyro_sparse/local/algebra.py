r"""Operations after which a sample may stay deferred: products with gates, and views."""

__all__: list[str] = []

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pyro_sparse.local.deferred import Deferred, View, handles


@handles(torch.mul, torch.multiply, Tensor.mul, Tensor.multiply, Tensor.__mul__, Tensor.__rmul__)
def _multiply(input: Any, other: Any, **kwargs: Any) -> Any:
    left, right = (input, other) if isinstance(input, Deferred) else (other, input)

    if kwargs or not isinstance(left, Deferred) or not isinstance(right, Tensor):
        return NotImplemented

    gated = left.gates or (isinstance(right, Deferred) and right.gates)
    weights = [f for f in (left, right) if isinstance(f, Deferred) and f.weight is not None]
    return left.times(right) if gated and len(weights) < 2 else NotImplemented


def _sees(reshaped_only: bool, *functions: Callable) -> None:
    for function in functions:

        @handles(function)
        def _view(
            input: Deferred, *args: Any, _function: Callable = function, **kwargs: Any
        ) -> Any:
            # Once its dimensions move, nobody knows which one of an activation counts examples.
            moved = input.ndim > 2 and not input.is_weight
            retyped = torch.dtype in map(type, (*args, *kwargs.values()))
            if moved or retyped or (reshaped_only and input.is_product):
                return NotImplemented

            view: View = lambda tensor: _function(tensor, *args, **kwargs)  # noqa: E731
            return input.through(view, reshaped_only)


_sees(False, torch.t, Tensor.t, Tensor.T.__get__, Tensor.mT.__get__)  # type: ignore[attr-defined]
_sees(False, torch.transpose, Tensor.transpose, torch.permute, Tensor.permute)
_sees(False, torch.swapaxes, Tensor.swapaxes, torch.movedim, Tensor.movedim)
_sees(True, torch.reshape, Tensor.reshape, Tensor.view, torch.flatten, Tensor.flatten)
_sees(True, torch.unsqueeze, Tensor.unsqueeze, torch.squeeze, Tensor.squeeze)


@handles(Tensor.__getitem__)
def _new_axes(deferred: Deferred, index: Any) -> Any:
    index = index if isinstance(index, tuple) else (index,)
    whole = all(i is None or i is Ellipsis or i == slice(None) for i in index)
    if not whole or deferred.is_product:
        return NotImplemented
    return deferred.through(lambda tensor: tensor[index], True)
