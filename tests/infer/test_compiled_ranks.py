"""The compiled bound under DistributedDataParallel and under a scaler of gradients."""

from pathlib import Path

import pyro
import pytest
import torch
import torch.multiprocessing
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from pyro_sparse.distributions import L0, LogUniform
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import TraceSparse_ELBO, compiled
from pyro_sparse.nn import Classifier, bayesianize
from tests.infer.conftest import as_captured

RANKS = 2
FORMS = "joint", "loss"


def program() -> tuple[nn.Module, AutoSparse]:
    """With next to no noise, so that halves of a batch add up to the whole."""
    pyro.set_rng_seed(0)
    net = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
    model = Classifier(bayesianize(net, weight=LogUniform(), gate=L0(0.1)), num_data=80)
    return model, AutoSparse(model, init_scale=1e-6, init_gate_prob=0.9999)


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(8, 6, generator=generator), torch.arange(8) % 3


def train(bound: nn.Module, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    optimizer = torch.optim.SGD(bound.parameters(), lr=1e-3)
    for _ in range(4):
        optimizer.zero_grad()
        bound(x, y).backward()
        optimizer.step()
    return {name.removeprefix("module."): p.detach() for name, p in bound.named_parameters()}


def work(rank: int, folder: str) -> None:
    compiled._lower = as_captured
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=RANKS
    )
    x, y = batch()
    for gradients in FORMS:
        bound = TraceSparse_ELBO(compile=True, gradients=gradients)(*program())
        found = train(DistributedDataParallel(bound), x[rank::RANKS], y[rank::RANKS])
        torch.save(found, Path(folder) / f"{gradients}{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_ranks_train_as_one(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(work, (str(tmp_path),), nprocs=RANKS)
    alone = train(TraceSparse_ELBO()(*program()), *batch())
    for gradients in FORMS:
        first, second = (torch.load(tmp_path / f"{gradients}{rank}.pt") for rank in range(RANKS))
        for name, value in alone.items():
            assert first[name].equal(second[name])
            torch.testing.assert_close(first[name], value, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("gradients", FORMS)
def test_a_scaler_of_gradients(gradients: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step whose gradients overflow is left out; the next one is taken."""
    monkeypatch.setattr(compiled, "_lower", as_captured)
    model, guide = program()
    bound = TraceSparse_ELBO(compile=True, gradients=gradients)(model, guide)
    optimizer = torch.optim.SGD(bound.parameters(), lr=1e-3)
    scaler = torch.amp.GradScaler("cpu", init_scale=1e38, backoff_factor=1e-36)
    x, y = batch()

    states = [{name: value.clone() for name, value in guide.state_dict().items()}]
    for _ in range(4):
        optimizer.zero_grad()
        scaler.scale(bound(x, y)).backward()
        scaler.step(optimizer)
        scaler.update()
        states.append({name: value.clone() for name, value in guide.state_dict().items()})

    assert all(states[0][name].equal(states[1][name]) for name in states[0])
    assert not states[3]["sites.0.weight.loc"].equal(states[4]["sites.0.weight.loc"])
