"""Running a network as it is used, and leaving it as it was."""

__all__ = ["evaluating"]

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients, and without the fused attention no counter sees into.

    Every module returns to the mode it was in.
    """
    training = {module: module.training for module in net.modules()}
    fused = torch.backends.mha.get_fastpath_enabled()
    net.eval()
    torch.backends.mha.set_fastpath_enabled(False)

    try:
        with torch.no_grad():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        for module, mode in training.items():
            module.training = mode
