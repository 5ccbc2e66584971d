"""Every test starts from the same seed, an empty parameter store and the default dtype."""

import os
import random
from collections.abc import Iterator

import pyro
import pytest
import torch

# Plots are drawn to files: a window would need a screen.
os.environ.setdefault("MPLBACKEND", "Agg")


def pytest_collectstart() -> None:
    """Data that a test file draws when it is imported do not depend on the files before it."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def seed() -> Iterator[int]:
    """The seed of this test: 0, or with ``UNLOCK_SEED=1`` a fresh one, shown if the test fails."""
    value = random.SystemRandom().randrange(2**31) if os.environ.get("UNLOCK_SEED") == "1" else 0
    print(f"seed {value}")

    dtype = torch.get_default_dtype()
    pyro.clear_param_store()
    pyro.set_rng_seed(value)

    yield value

    torch.set_default_dtype(dtype)
    pyro.clear_param_store()
