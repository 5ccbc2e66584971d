"""Several processes train one model."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn

from pyro_sparse.distributions import L2
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import TraceSparse_ELBO
from pyro_sparse.infer.ranks import Ranks
from pyro_sparse.nn import Classifier, bayesianize
from tests.common import ROOT
from tests.infer.programs import data, train

# A point posterior has no noise: whatever the processes, the numbers are the same.
PROGRAM = """
import json, os, sys
from pathlib import Path
import torch
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from pyro_sparse.distributions import L0, L2
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import TraceSparse_ELBO
from pyro_sparse.infer.ranks import Ranks
from pyro_sparse.nn import Classifier, bayesianize
from tests.infer.programs import data, program, train

rank, count, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
store = distributed.FileStore(str(folder / "store"), count)
distributed.init_process_group("gloo", store=store, rank=rank, world_size=count)

def certain():
    torch.manual_seed(0)
    model = Classifier(bayesianize(nn.Linear(4, 3), weight=L2(1.0), bias=L2(1.0)), num_data=90)
    return model, AutoSparse(model)

found = {}
training = train(*certain(), epochs=6, batch_size=30, warm_up=None)
found["certain"] = [row["loss"] for row in training.rows]

noisy = train(*program(seed=rank), epochs=3, checkpoint=folder / f"of-rank-{rank}.pt", every=0.0)
found["noisy"] = [row["loss"] for row in noisy.rows]
found["parameters"] = [p.flatten().tolist() for p in noisy.programs.parameters()]
found["noise"] = torch.rand(3).tolist()
more = train(*program(), epochs=4, resume=folder / "of-rank-0.pt")
found["resumed"] = [row["epoch"] for row in more.rows]

try:
    train(*certain(), epochs=1, lr=0.1, batch_size=30 + 10 * rank)
except ValueError as error:
    found["error"] = str(error)

try:
    train(*certain(), epochs=1, lr=0.1 + rank, batch_size=30)
except ValueError as error:
    found["rates"] = str(error)

bound = TraceSparse_ELBO()(*certain())
fully_shard(bound, mesh=init_device_mesh("cpu", (count,)))
optimizer, (x, y) = torch.optim.Adam(bound.parameters(), 1e-2), data()
found["sharded"] = []
for _ in range(4):
    optimizer.zero_grad()
    loss = bound(x[rank::count], y[rank::count])
    loss.backward()
    optimizer.step()
    found["sharded"].append(loss.item())
found["own"] = sum(p.to_local().numel() for p in bound.parameters())
found["all"] = sum(p.numel() for p in bound.parameters())

found["ranks"] = [Ranks.current().index, Ranks.current().count]
(folder / f"{rank}.json").write_text(json.dumps(found))
distributed.destroy_process_group()
"""


def certain() -> tuple[Classifier, AutoSparse]:
    torch.manual_seed(0)
    model = Classifier(bayesianize(nn.Linear(4, 3), weight=L2(1.0), bias=L2(1.0)), num_data=90)
    return model, AutoSparse(model)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes saw."""
    folder = tmp_path_factory.mktemp("ranks")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    commands = [[sys.executable, "-c", PROGRAM, str(rank), "2", str(folder)] for rank in (0, 1)]
    processes = [
        subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
        for command in commands
    ]
    for process in processes:
        _, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors

    results = [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]
    return [{**result, "files": [p.name for p in folder.glob("*.pt")]} for result in results]


def test_the_objective_is_that_of_one_process(found: list[dict[str, Any]]) -> None:
    alone = train(*certain(), data(), epochs=6, batch_size=30, warm_up=None)

    losses = [row["loss"] for row in alone.rows]
    assert found[0]["certain"] == pytest.approx(losses, rel=1e-5)
    assert losses[-1] < losses[0]


def test_a_sharded_bound_is_that_of_one_process(found: list[dict[str, Any]]) -> None:
    model, guide = certain()
    bound = TraceSparse_ELBO()(model, guide)
    optimizer = torch.optim.Adam(bound.parameters(), 1e-2)
    losses = []
    for _ in range(4):
        optimizer.zero_grad()
        loss = bound(*data())
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    both = [sum(pair) / 2 for pair in zip(*(one["sharded"] for one in found), strict=True)]
    assert both == pytest.approx(losses, rel=1e-5)
    assert all(one["own"] < one["all"] for one in found)
    assert sum(one["own"] for one in found) == found[0]["all"]


def test_all_processes_hold_the_same_model(found: list[dict[str, Any]]) -> None:
    """Also where they started from different ones, and though their noise is their own."""
    assert found[0]["parameters"] == found[1]["parameters"]
    assert found[0]["noisy"] == found[1]["noisy"]
    assert found[0]["noise"] != found[1]["noise"]


def test_only_the_first_one_writes(found: list[dict[str, Any]]) -> None:
    assert found[0]["files"] == ["of-rank-0.pt"]
    assert found[1]["resumed"] == [1, 2, 3, 4]


def test_processes_that_disagree_say_so_everywhere(found: list[dict[str, Any]]) -> None:
    for one in found:
        assert "data differs, rank by rank" in one["error"]
        assert "'batch size': 30" in one["error"] and "'batch size': 40" in one["error"]


def test_other_learning_rates_are_noticed(found: list[dict[str, Any]]) -> None:
    for one in found:
        assert "optimizer differs, rank by rank" in one["rates"]
        assert "'lr': 0.1" in one["rates"] and "'lr': 1.1" in one["rates"]


def test_a_process_knows_its_place(found: list[dict[str, Any]]) -> None:
    assert [one["ranks"] for one in found] == [[0, 2], [1, 2]]


def test_alone() -> None:
    ranks = Ranks.current()

    assert ranks == Ranks(0, 1) and ranks.first
    assert ranks.share(3) == 3 and ranks.gather(3) == [3] and ranks.mean([1.0, 2.0]) == [1.0, 2.0]
    ranks.require_agreement({"anything": 1})
