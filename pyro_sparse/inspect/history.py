r"""The history of a training, in whatever form a user has it, as columns of numbers."""

__all__ = ["columns"]

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from pyro_sparse.infer.training import Training

if TYPE_CHECKING:
    from numpy import ndarray


def columns(history: Any) -> "dict[str, ndarray]":
    r"""One array a name, all of one length.

    What is None in an epoch, or was not written down in it, is nan; texts are left out.

    Args:
        history: A `Training`, its `history` or its `rows`; or sequences of numbers by name; or
            None for nothing.

    Raises:
        TypeError: It is none of these.
        ValueError: The columns differ in length.

    Example:
        >>> columns([{"loss": 2.0, "note": "first"}, {"loss": 1.0, "error": 0.5}])
        {'loss': array([2., 1.]), 'error': array([nan, 0.5])}
    """

    named = _named(history.rows if isinstance(history, Training) else history)
    lengths = {name: len(values) for name, values in named.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"The history has one number per epoch, but the lengths are {lengths}.")

    return {name: _array(values) for name, values in named.items() if not _is_text(values)}


def _named(history: Any) -> dict[str, Any]:
    if history is None:
        return {}
    if isinstance(history, Mapping) or hasattr(history, "columns"):
        return {str(name): history[name] for name in history}
    if isinstance(history, Sequence) and all(isinstance(row, Mapping) for row in history):
        names = dict.fromkeys(name for row in history for name in row)
        return {name: [row.get(name) for row in history] for name in names}
    raise TypeError(
        "A history is a Training, its history or rows, or a mapping from names to numbers per "
        f"epoch, got {type(history).__name__}."
    )


def _is_text(values: Any) -> bool:
    return any(isinstance(value, str) for value in values)


def _array(values: Any) -> "ndarray":
    import numpy as np

    if isinstance(values, Tensor):
        return values.detach().cpu().numpy()
    return np.asarray([math.nan if value is None else _plain(value) for value in values])


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, Tensor) else value
