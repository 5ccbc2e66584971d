"""Tables of features, and what a gated network finds in the planted one."""

import pytest
import torch

from examples.feature_selection import study
from examples.support.tabular import TABLES, split


@pytest.mark.parametrize("name", TABLES)
def test_inputs_are_standardised_on_the_training_part(name: str) -> None:
    table = TABLES[name]
    data, features = split(table, 0)

    assert data.x.shape[1] == len(features) == len(set(features))
    torch.testing.assert_close(data.x.mean(0), torch.zeros(len(features)), rtol=0, atol=1e-5)
    assert len(data.x) == pytest.approx(3 * len(data.x_test), rel=0.02)
    assert data.y.shape[1:] == (() if table.classes else (1,))


@pytest.mark.slow
def test_the_planted_features_are_found() -> None:
    row, draws = study("planted", 0, smoke=False)

    assert row["right"] and row["used"] == TABLES["planted"].relevant
    assert row["error gated"] < row["error dense"]
    assert draws["posterior"]["feature"].values.tolist() == list(row["active"])
