r"""Arrays of draws, filled one draw at a time, so that nothing is held twice."""

__all__ = ["Recorder"]

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from numpy import ndarray


class Recorder:
    r"""Keeps numbers by group and name.

    Args:
        size: Number of draws.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.groups: dict[str, dict[str, ndarray]] = {}

    def keep(self, group: str, name: str, value: Tensor) -> None:
        r"""Keeps numbers that are the same in every draw.

        Args:
            group: Name of the group.
            name: Name of the variable.
            value: The numbers.
        """

        self.groups.setdefault(group, {})[name] = _array(value)

    def add(self, group: str, name: str, index: int, value: Tensor, every: int = 1) -> None:
        r"""Adds one draw.

        Args:
            group: Name of the group.
            name: Name of the variable.
            index: Number of the draw.
            value: The numbers, of the same shape in every draw.
            every: Keep every how manieth draw.
        """

        if index % every:
            return

        import numpy as np

        arrays, array = self.groups.setdefault(group, {}), _array(value)
        if name not in arrays:
            length = (self.size + every - 1) // every
            arrays[name] = np.empty((1, length, *array.shape), array.dtype)

        arrays[name][0, index // every] = array


def _array(value: Tensor) -> "ndarray":
    value = value.detach().cpu()
    small = value.dtype in (torch.float16, torch.bfloat16)
    return (value.float() if small else value).numpy()
