"""What several test files share."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

# The chance that a correct statistical test fails: assert p_value > TEST_FAILURE_RATE.
TEST_FAILURE_RATE = 2e-5

ROOT = Path(__file__).resolve().parents[1]


def mnist_root() -> Path:
    """The folder that holds ``MNIST/raw`` (torchvision's ``root``); skips the test without it."""
    root = ROOT.parent / "shared" / "data"

    if not (root / "MNIST" / "raw" / "train-images-idx3-ubyte").is_file():
        pytest.skip("needs the MNIST files in ../shared/data/MNIST/raw, beside the project")

    return root


def cifar_root() -> Path:
    """The folder that holds ``cifar10_jpeg``, re-encoded images; skips the test without it."""
    root = ROOT.parent / "shared" / "data"

    if not (root / "cifar10_jpeg" / "cifar10_jpeg.npz").is_file():
        pytest.skip("needs ../shared/data/cifar10_jpeg/cifar10_jpeg.npz, beside the project")

    return root


def assert_mean(draws: Tensor, expected: Tensor | float) -> None:
    """Asserts that the mean of independent draws ``(draws, *shape)`` is the expected one.

    A z test on every entry; the failure rate is shared between the entries.
    """
    count, *shape = draws.shape
    expected = torch.as_tensor(expected, dtype=draws.dtype).expand(shape)
    z = (draws.mean(0) - expected).abs() / (draws.std(0) / math.sqrt(count))
    p_value = torch.special.erfc(z.max() / math.sqrt(2)) * expected.numel()

    assert p_value > TEST_FAILURE_RATE, (
        f"mean of {count} draws is {draws.mean(0).tolist()}, expected {expected.tolist()} "
        f"({z.max():.1f} standard errors away)"
    )
