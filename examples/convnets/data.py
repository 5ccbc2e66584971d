"""CIFAR-10 and CIFAR-100 as bytes in memory."""

__all__ = ["DATA", "Images", "load"]

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Images:
    """Images of 32x32 pixels in three colours, to train on and to test on.

    Attributes:
        title: What results call the data.
        classes: Number of classes.
        x: Bytes, `(N, 3, 32, 32)`.
        y: Labels, `(N,)`.
        x_test: Bytes.
        y_test: Labels.
        mean: Mean of each colour of `x`, `(3, 1, 1)`.
        deviation: Its standard deviation.
    """

    title: str
    classes: int
    x: Tensor
    y: Tensor
    x_test: Tensor
    y_test: Tensor
    mean: Tensor
    deviation: Tensor

    def standardised(self, pixels: Tensor) -> Tensor:
        """What networks are given: colours of mean 0 and variance 1.

        Args:
            pixels: Bytes, `(B, 3, 32, 32)`.
        """
        return (pixels - self.mean) / self.deviation

    @property
    def example(self) -> Tensor:
        """Two images, for what follows a network once."""
        return self.standardised(self.x[:2])


def load(name: str, root: Path, device: torch.device, limit: int | None = None) -> Images:
    """The images of a data set, in an order that is mixed but always the same.

    Args:
        name: "cifar10" or "cifar100", which torchvision downloads where they are not there;
            "cifar10_jpeg", re-encoded images in one file.
        root: Torchvision's folder, or the one that `cifar10_jpeg/cifar10_jpeg.npz` lies in.
        device: Where the tensors are put.
        limit: Take this many training images only, and as many to test on.
    """
    title, classes, read = DATA[name]
    parts: list[Tensor] = []
    for train in (True, False):
        pixels, labels = read(root, train, limit)
        parts += [pixels.to(device), labels.to(device)]

    x, y, x_test, y_test = parts
    shades = torch.arange(256.0, device=device)
    counts = torch.stack([c.flatten().bincount(minlength=256) for c in x.unbind(1)]).double()
    shares = (counts / counts.sum(1, keepdim=True)).float()
    mean = shares @ shades
    deviation = (shares @ shades.square() - mean.square()).sqrt()
    scales = [t.view(3, 1, 1) for t in (mean, deviation)]
    return Images(title, classes, x, y, x_test, y_test, *scales)


def _mixed(count: int, limit: int | None) -> Tensor:
    return torch.randperm(count, generator=torch.Generator().manual_seed(0))[:limit]


def _of_torchvision(kind: str) -> Callable[..., tuple[Tensor, Tensor]]:
    def read(root: Path, train: bool, limit: int | None) -> tuple[Tensor, Tensor]:
        from torchvision import datasets

        found: Any = getattr(datasets, kind)(root, train=train, download=True)
        chosen = _mixed(len(found.targets), limit)
        pixels = torch.from_numpy(found.data).permute(0, 3, 1, 2)[chosen]
        return pixels.contiguous(), torch.tensor(found.targets)[chosen]

    return read


def _reencoded(root: Path, train: bool, limit: int | None) -> tuple[Tensor, Tensor]:
    from PIL import Image

    part = "train" if train else "test"
    with np.load(root / "cifar10_jpeg" / "cifar10_jpeg.npz") as file:
        names = ("jpeg", "offset", "label")
        code, begin, label = (file[f"{part}_{name}"] for name in names)

    chosen = _mixed(len(label), limit)
    files = (BytesIO(code[begin[i] : begin[i + 1]]) for i in chosen.tolist())
    pixels = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
    labels = torch.from_numpy(label[chosen.numpy()]).long()
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), labels


# name: what results call it, classes, and how it is read
DATA: dict[str, tuple[str, int, Callable[..., tuple[Tensor, Tensor]]]] = {
    "cifar10": ("CIFAR-10", 10, _of_torchvision("CIFAR10")),
    "cifar100": ("CIFAR-100", 100, _of_torchvision("CIFAR100")),
    "cifar10_jpeg": ("CIFAR-10, re-encoded as JPEG", 10, _reencoded),
}
