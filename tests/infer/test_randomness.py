"""The state of the generators, there and back."""

import random
from pathlib import Path

import numpy as np
import torch

from pyro_sparse.infer.checkpoint import read_checkpoint, write_checkpoint
from pyro_sparse.infer.randomness import random_state, restore_random_state


def draw() -> tuple[float, float, float, float]:
    return torch.rand(()).item(), random.random(), np.random.rand(), random.gauss(0, 1)


def test_all_generators_go_back(tmp_path: Path) -> None:
    random.gauss(0, 1)
    state = random_state()
    first = draw()

    write_checkpoint(tmp_path / "state.pt", {"random": state})
    restore_random_state(read_checkpoint(tmp_path / "state.pt")["random"])

    assert draw() == first
    assert draw() != first
