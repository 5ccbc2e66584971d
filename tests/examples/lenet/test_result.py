"""What is written down of a training: numbers of the compact network."""

from pathlib import Path

import pytest
import torch

from examples.lenet.methods import Method, groups
from examples.lenet.program import train
from examples.lenet.result import (
    BINS,
    commit,
    expected_cost,
    gate_counts,
    measure,
    result,
    smaller,
)
from examples.support.data import Data
from models.lenet import mlp
from pyro_sparse.distributions import L0

METHOD = Method(
    "L0", epochs=30, priors={"gate": L0(0.3), "gate_dim": groups}, gate_lr=0.2, lr=1e-2
)


@pytest.fixture
def data() -> Data:
    """Two pixels of six decide the label."""
    x = torch.rand(500, 6)
    y = (x[:, 0] > x[:, 1]).long()
    return Data(x, y, x, y)


def test_a_result_is_that_of_the_compact_network(data: Data, tmp_path: Path) -> None:
    net = mlp(6, 20, 2)
    training = train(
        METHOD,
        net,
        data,
        0,
        tmp_path / "checkpoint",
        [lambda t: measure(smaller(t, data)[1], data) | expected_cost(t, data) | gate_counts(t)],
        compiled=False,
    )
    frozen, small = smaller(training, data)

    row = result(training, METHOD, net, data, small, frozen)

    inputs, hidden = map(int, row["architecture"].split("-"))
    assert inputs < 6
    assert row["weights"] == row["macs"] == inputs * hidden + 2 * hidden
    assert row["compression"] == pytest.approx(160 / row["nonzeros"])
    assert row["difference"] < 1e-5
    assert row["best_error"] <= row["error"] == row["history"][-1]["error"] == row["train_error"]
    assert row["settings"]["priors"] == {"gate": "L0(penalty=0.3)", "gate_dim": "groups"}
    last = row["history"][-1]
    assert last["macs"] == pytest.approx(last["expected macs"], rel=0.2)
    assert [len(r["bins fc1.gate"].split()) for r in row["history"]] == [BINS] * 30
    assert sum(map(int, last["bins fc1.gate"].split())) == 6


def test_the_commit_is_that_of_the_checkout() -> None:
    found = commit()

    assert found is None or len(found.rstrip("+")) == 40
