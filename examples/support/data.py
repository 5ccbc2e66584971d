"""Data sets of the examples, as tensors in memory."""

__all__ = ["Data", "digits"]

from dataclasses import dataclass

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor


@dataclass(frozen=True)
class Data:
    """Inputs `(N, *)` and labels `(N,)`, to train on and to test on."""

    x: Tensor
    y: Tensor
    x_test: Tensor
    y_test: Tensor


def digits(seed: int, device: torch.device) -> Data:
    """scikit-learn's 1,797 digits as 64 pixels from 0 to 1; a stratified quarter is for testing.

    Args:
        seed: Decides the split.
        device: Where the tensors are put.
    """
    pixels, labels = load_digits(return_X_y=True)
    x, x_test, y, y_test = train_test_split(
        pixels / 16, labels, test_size=0.25, stratify=labels, random_state=seed
    )
    images = [torch.tensor(a, dtype=torch.float32, device=device) for a in (x, x_test)]
    answers = [torch.tensor(a, device=device) for a in (y, y_test)]
    return Data(images[0], answers[0], images[1], answers[1])
