"""Whether a checkpoint belongs to a training; whole trainings are in `test_saver.py`."""

import warnings
from typing import Any

import pytest
import torch

from pyro_sparse.infer.identity import compare_rates, is_prolonged, require_same


def test_what_differs_is_named() -> None:
    require_same({"data": {"a": 1}}, {"data": {"a": 1}}, "x.pt")

    with pytest.raises(ValueError, match=r"its data differ: a \(1 there, 2 here\), b \(None the"):
        require_same({"data": {"a": 1}}, {"data": {"a": 2, "b": 3}}, "x.pt")


def test_rates_are_those_it_was_begun_with() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    optimizer.param_groups[0]["initial_lr"] = 0.1

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compare_rates([{"initial_lr": 0.1}], optimizer, "x.pt")
        compare_rates([{}], optimizer, "x.pt")
    with pytest.warns(UserWarning, match=r"begun with, \[0\.2\], and not with \[0\.1\]"):
        compare_rates([{"initial_lr": 0.2}], optimizer, "x.pt")


@pytest.mark.parametrize(
    "before, now, goes_on",
    [
        ((10, 2), (10, 3), True),
        ((10, 2), (10, None), True),
        ((10, 2), (20, 2), True),
        ((10, 2), (10, 2), False),
        ((10, None), (10, 2), False),
        ((10, 3), (10, 2), False),
        (None, (10, 2), False),
    ],
)
def test_more_of_either_prolongs(before: Any, now: Any, goes_on: bool) -> None:
    names = ("epochs", "patience")
    was = {} if before is None else dict(zip(names, before, strict=True))
    arguments = was, dict(zip(names, now, strict=True)), "enough", "x.pt"
    if goes_on:
        assert is_prolonged(*arguments)
        return
    with pytest.warns(UserWarning, match=r"in x\.pt was stopped: enough\. It stays so"):
        assert not is_prolonged(*arguments)
