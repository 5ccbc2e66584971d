"""Histories in all their forms."""

from typing import Any

import numpy as np
import pandas
import pytest
import torch

from pyro_sparse.inspect.history import columns
from tests.infer.programs import program, train


def lists(history: Any) -> dict[str, list[Any]]:
    return {name: array.tolist() for name, array in columns(history).items()}


ROWS = [{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.0}]


@pytest.mark.parametrize(
    "history",
    [
        ROWS,
        pandas.DataFrame(ROWS),
        {"epoch": [1, 2], "loss": (2.0, 1.0)},
        {"epoch": np.array([1, 2]), "loss": torch.tensor([2.0, 1.0], requires_grad=True)},
    ],
    ids=["rows", "frame", "lists", "arrays"],
)
def test_every_form(history: Any) -> None:
    assert lists(history) == {"epoch": [1, 2], "loss": [2.0, 1.0]}


def test_a_training() -> None:
    training = train(*program(), epochs=2)

    assert lists(training) == lists(training.rows) == lists(training.history)
    assert lists(training)["loss"] == [row["loss"] for row in training.rows]


@pytest.mark.parametrize("form", [list, pandas.DataFrame])
def test_what_is_not_there_is_nan_and_texts_are_left_out(form: Any) -> None:
    rows = [{"alive": None, "note": "hi", "some": 1.0}, {"alive": None, "note": None}]

    found = columns(form(rows))

    assert found.keys() == {"alive", "some"}
    assert np.isnan(found["alive"]).all()
    assert found["some"][0] == 1.0 and np.isnan(found["some"][1])


def test_nothing() -> None:
    assert columns(None) == columns([]) == columns({}) == {}


def test_other_things_are_refused() -> None:
    with pytest.raises(TypeError, match=r"A history is a Training.* got float"):
        columns(3.0)
    with pytest.raises(ValueError, match=r"lengths are {'a': 1, 'b': 2}"):
        columns({"a": [1.0], "b": [1.0, 2.0]})
