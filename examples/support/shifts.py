"""Images that a network did not learn from: rotated, noisy, and no digits at all."""

__all__ = ["noisy", "photographs", "rotated"]

import math

import torch
import torch.nn.functional as F
from sklearn.datasets import load_sample_images
from torch import Tensor


def rotated(images: Tensor, degrees: float) -> Tensor:
    """Images turned about their middles; what comes into view is black.

    Args:
        images: `(N, rows, columns)`.
        degrees: The angle, counterclockwise.
    """
    angle = math.radians(degrees)
    turn = torch.tensor(
        [[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0]]
    )
    stack = images[:, None]
    where = F.affine_grid(turn.expand(len(images), 2, 3), list(stack.shape), align_corners=False)
    return F.grid_sample(stack, where, align_corners=False)[:, 0]


def noisy(images: Tensor, sd: float) -> Tensor:
    """Images with normal noise, clipped to [0, 1].

    Args:
        images: `(N, rows, columns)`.
        sd: Standard deviation of the noise.
    """
    return (images + sd * torch.randn_like(images)).clamp(0, 1)


def photographs(side: int) -> Tensor:
    """Squares of scikit-learn's two photographs in grey, each stretched to [0, 1].

    Args:
        side: Pixels of a side.
    """
    squares = []
    for photograph in load_sample_images().images:
        grey = torch.tensor(photograph).float().mean(-1)
        smaller = F.avg_pool2d(grey[None, None], 4)
        squares.append(F.unfold(smaller, side, stride=side)[0].T)

    pixels = torch.cat(squares)
    low, high = pixels.amin(1, keepdim=True), pixels.amax(1, keepdim=True)
    return ((pixels - low) / (high - low)).reshape(-1, side, side)
