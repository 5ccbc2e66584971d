"""CIFAR in memory: both ways to read it, and what networks are given."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from examples.convnets.data import DATA, Images, load

CPU = torch.device("cpu")


def smooth(count: int) -> torch.Tensor:
    """Images of slow waves, which JPEG hardly changes."""
    phase = torch.rand(count, 3, 1, 1) * 6
    ramp = torch.arange(32.0) / 10
    return (127 + 100 * torch.sin(phase + ramp[:, None] + ramp)).to(torch.uint8)


def encoded(image: torch.Tensor) -> bytes:
    file = BytesIO()
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=95)
    return file.getvalue()


def write_reencoded(root: Path, train: torch.Tensor, test: torch.Tensor) -> None:
    arrays: dict[str, Any] = {}
    for part, pixels in (("train", train), ("test", test)):
        codes = [encoded(image) for image in pixels]
        ends = np.cumsum([0, *map(len, codes)])
        label = np.arange(len(pixels), dtype=np.uint8) % 10
        arrays |= {
            f"{part}_jpeg": np.frombuffer(b"".join(codes), np.uint8),
            f"{part}_offset": ends,
        }
        arrays |= {f"{part}_label": label}
    (root / "cifar10_jpeg").mkdir()
    np.savez(root / "cifar10_jpeg" / "cifar10_jpeg.npz", **arrays)


def test_reencoded_images_are_those_that_were_encoded(tmp_path: Path) -> None:
    train, test = smooth(20), smooth(10)
    write_reencoded(tmp_path, train, test)

    images = load("cifar10_jpeg", tmp_path, CPU)

    assert images.title == "CIFAR-10, re-encoded as JPEG"
    assert images.x.dtype == images.x_test.dtype == torch.uint8
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    assert torch.equal(images.y, order % 10)
    assert (images.x.float() - train[order].float()).abs().mean() < 4


def test_torchvisions_download_is_read_in_the_same_layout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("torchvision.datasets", reason="install pyro-sparse[vision]")
    pixels = smooth(12)

    class Stored:
        def __init__(self, root: Path, train: bool, download: bool) -> None:
            assert root == tmp_path and download
            self.data = pixels.permute(0, 2, 3, 1).numpy()
            self.targets = list(range(12))

    monkeypatch.setattr(datasets, "CIFAR100", Stored)
    images = load("cifar100", tmp_path, CPU, limit=7)

    assert images.classes == 100
    assert len(images.y) == len(images.y_test) == 7
    assert torch.equal(images.x, pixels[images.y])


def test_colours_are_standardised() -> None:
    x = torch.randint(256, (50, 3, 32, 32), dtype=torch.uint8)
    x[:, 1] //= 4

    found = of(x).standardised(x)

    torch.testing.assert_close(found.mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(found.std((0, 2, 3)), torch.ones(3), atol=1e-4, rtol=0)


def of(x: torch.Tensor) -> Images:
    """What `load` makes of these pixels."""
    title, classes, _ = DATA["cifar10"]
    y = torch.arange(len(x)) % classes
    before = DATA["cifar10"]
    try:
        DATA["cifar10"] = (title, classes, lambda root, train, limit: (x, y))
        return load("cifar10", Path(), CPU)
    finally:
        DATA["cifar10"] = before
