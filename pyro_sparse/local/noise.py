r"""Noise of pre-activations, with as little kept for the backward pass as it needs.

Written out in torch, the noise of one layer keeps the variance, the deviation and the standard
normal. Here only its derivative is kept.
"""

__all__ = ["noise"]

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def noise(like: Tensor, variance: Tensor) -> Tensor:
    r"""Independent normal noise of the shape and dtype of `like`; exactly 0 without variance.

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


class _Noise(torch.autograd.Function):
    """Noise of a given variance, and its derivative, which is all that is kept."""

    generate_vmap_rule = True

    @staticmethod
    def forward(variance: Tensor, standard: Tensor) -> tuple[Tensor, Tensor]:
        deviation = _deviation(variance)
        derivative = standard / (2 * deviation)
        vanishes = variance < torch.finfo(variance.dtype).tiny
        return deviation * standard, derivative.masked_fill_(vanishes, 0.0)

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
    # Fast convolutions give variances a little below 0.
    return variance.clamp_min(0).sqrt()
