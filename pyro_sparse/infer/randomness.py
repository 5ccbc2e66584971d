r"""The state of all random number generators, to be put back later."""

__all__ = ["random_state", "restore_random_state"]

import random
import sys
from typing import Any

import torch


def random_state() -> dict[str, Any]:
    r"""The state of Python's, NumPy's and torch's generators, as tensors and plain numbers."""

    state: dict[str, Any] = {"torch": torch.get_rng_state(), "python": random.getstate()}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.get_rng_state_all()
    if "numpy" in sys.modules:
        import numpy as np

        name, key, *rest = np.random.get_state()
        state["numpy"] = [str(name), [int(word) for word in key], *rest]
    return state


def restore_random_state(state: dict[str, Any]) -> None:
    r"""Puts the generators back, as far as this machine has them.

    Args:
        state: What `random_state` returned.
    """

    torch.set_rng_state(state["torch"])
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    if "cuda" in state and torch.cuda.is_available():
        for device, cuda in enumerate(state["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(cuda, device)
    if "numpy" in state:
        import numpy as np

        name, key, *rest = state["numpy"]
        np.random.set_state((name, np.array(key, dtype=np.uint32), *rest))
