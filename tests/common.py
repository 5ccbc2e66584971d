"""What several test files share."""

from pathlib import Path

import pytest

# The chance that a correct statistical test fails: assert p_value > TEST_FAILURE_RATE.
TEST_FAILURE_RATE = 2e-5

ROOT = Path(__file__).resolve().parents[1]


def mnist_root() -> Path:
    """The folder that holds ``MNIST/raw`` (torchvision's ``root``); skips the test without it."""
    root = ROOT.parent / "shared" / "data"

    if not (root / "MNIST" / "raw" / "train-images-idx3-ubyte").is_file():
        pytest.skip("needs the MNIST files in ../shared/data/MNIST/raw, beside the project")

    return root
