"""MNIST and the two data sets of the same layout, as tensors in memory."""

__all__ = ["DATA", "load", "with_random_labels"]

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from examples.support.data import Data

DATA = {"mnist": "MNIST", "fashion": "FashionMNIST", "kmnist": "KMNIST"}


def load(name: str, root: Path, device: torch.device, limit: int | None = None) -> Data:
    """Images `(N, 1, 28, 28)` with pixels from 0 to 1, and labels; 60,000 and 10,000 of them.

    Args:
        name: "mnist", "fashion" or "kmnist".
        root: Torchvision's folder; what it lacks is downloaded.
        device: Where the tensors are put.
        limit: Take this many training and test images only.
    """
    from torchvision import datasets

    data_set = getattr(datasets, DATA[name])
    parts: list[Tensor] = []
    for train in (True, False):
        found = data_set(root, train=train, download=not _is_there(root / DATA[name] / "raw"))
        parts += [found.data[:limit, None].to(device).float() / 255, found.targets[:limit]]

    x, y, x_test, y_test = parts
    return Data(x, y.to(device), x_test, y_test.to(device))


def with_random_labels(data: Data, share: float, seed: int) -> Data:
    """The same data with this share of the training labels drawn at random.

    Args:
        data: The data.
        share: Between 0 and 1; which labels are drawn is itself random.
        seed: Decides both.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(10, data.y.shape, generator=generator).to(data.y)
    chosen = torch.rand(data.y.shape, generator=generator) < share
    return replace(data, y=torch.where(chosen.to(data.y.device), drawn, data.y))


def _is_there(folder: Path) -> bool:
    return all(any(folder.glob(f"{part}-images-idx3-ubyte*")) for part in ("train", "t10k"))
