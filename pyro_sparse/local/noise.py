r"""Noise of pre-activations, with as little kept for the backward pass as it needs.

Written out in torch, the noise of one layer keeps five tensors: the input and its square, the
variance, the deviation and the standard normal. Here the square is computed again where it is
wanted, and of the noise only its derivative is kept.
"""

__all__ = ["noise", "square_again"]

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.autograd.graph import saved_tensors_hooks


def noise(like: Tensor, variance: Tensor) -> Tensor:
    r"""Independent normal noise of the shape and dtype of `like`.

    It has first derivatives only: differentiating twice is an error.

    Args:
        like: Pre-activations.
        variance: Their variance, which expands to their shape.
    """

    # The square root has no gradient at 0; adding a constant would bias small scales, and so
    # would half precision's smallest number.
    if variance.dtype is torch.float16:
        variance = variance.float()

    standard = _standard(like)
    if torch.is_grad_enabled() and variance.requires_grad:
        drawn, _ = _Noise.apply(variance.expand(like.shape), standard)
    else:
        drawn = _deviation(variance) * standard
    return drawn.to(like.dtype)


@contextmanager
def square_again(square: Tensor, input: Tensor) -> Iterator[None]:
    r"""Operations inside keep `input` for the backward pass where they would keep its square.

    Args:
        square: The square of `input`.
        input: A tensor that is kept anyway.
    """

    hooks_are_free = torch._C._autograd._saved_tensors_hooks_is_enabled()  # type: ignore[attr-defined]
    if not (torch.is_grad_enabled() and hooks_are_free) or _is_checkpointed():
        yield
        return

    version, place = input._version, _place(square)

    def pack(saved: Tensor) -> Any:
        return None if _place(saved) == place else saved

    def unpack(kept: Any) -> Tensor:
        if kept is not None:
            return kept
        if input._version != version:
            raise RuntimeError(
                "The input of a layer with local noise was changed in place after the layer used "
                "it, and the gradient needs it as it was. Change a copy instead."
            )
        return input.square()

    with saved_tensors_hooks(pack, unpack):
        yield


class _Noise(torch.autograd.Function):
    """Noise of a given variance, and its derivative, which is all that is kept."""

    generate_vmap_rule = True

    @staticmethod
    def forward(variance: Tensor, standard: Tensor) -> tuple[Tensor, Tensor]:
        deviation = _deviation(variance)
        derivative = standard / (2 * deviation)
        return deviation * standard, derivative.masked_fill_(variance < _smallest(variance), 0.0)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, _: Any) -> tuple[Tensor, None]:
        (derivative,) = ctx.saved_tensors
        return gradient * derivative, None


def _standard(like: Tensor) -> Tensor:
    """Drawn in the order of memory: in any other, torch on a processor is several times slower."""
    order = sorted(range(like.dim()), key=like.stride, reverse=True)
    drawn = torch.randn_like(like.permute(order))
    return drawn.permute([order.index(dim) for dim in range(like.dim())])


def _deviation(variance: Tensor) -> Tensor:
    return variance.clamp_min(_smallest(variance)).sqrt()


def _smallest(variance: Tensor) -> float:
    return torch.finfo(variance.dtype).tiny


def _is_checkpointed() -> bool:
    # Checkpointing wants to keep nothing at all.
    return torch._C._autograd._top_saved_tensors_default_hooks(True) is not None


def _place(tensor: Tensor) -> tuple[Any, ...]:
    storage = tensor.untyped_storage()._cdata
    return storage, tensor.storage_offset(), tensor.shape, tensor.stride(), tensor.dtype
