"""The whole way on a CUDA device, and the results beside those of the processor."""

import copy
from pathlib import Path
from typing import Any

import pyro
import pytest
import torch
from torch import Tensor, nn

from pyro_sparse.distributions import (
    L0,
    HardConcrete,
    HardNormal,
    LogUniform,
    MixtureGate,
    PowerFunction,
    TruncatedExponential,
    TruncatedLogNormal,
    UniformExponential,
)
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import Budget, Classification, TraceSparse_ELBO, TrainingStep, fit, predict
from pyro_sparse.inspect import gate_table, report
from pyro_sparse.nn import Classifier, bayesianize, gate_sites
from pyro_sparse.prune import compact, count, freeze, load, masks, save

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

DEVICE = "cuda"
N = 256


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16 * 36, 32),
        nn.ReLU(),
        nn.Linear(32, 3),
    )


def data() -> tuple[Tensor, Tensor]:
    """Images whose class is where they are bright."""
    y = torch.arange(N) % 3
    x = 0.3 * torch.randn(N, 1, 8, 8)
    for label in range(3):
        x[y == label, :, 2 * label : 2 * label + 2] += 1.0
    return x.to(DEVICE), y.to(DEVICE)


def program(**priors: Any) -> tuple[Classifier, AutoSparse]:
    pyro.set_rng_seed(0)
    net = network()
    sites = gate_sites(net, data()[0][:2].cpu())
    model = Classifier(bayesianize(net, gate=L0(0.5), gate_dim=sites, **priors), N).to(DEVICE)
    return model, AutoSparse(model, init_gate_prob=0.9)


LAWS = {
    "HardConcrete": lambda x: HardConcrete(logits=x),
    "HardNormal": lambda x: HardNormal(x, x.exp()),
    "exponential": lambda x: MixtureGate(logits=x, off=TruncatedExponential((3 + x).exp())),
    "uniform": lambda x: MixtureGate(logits=x, off=UniformExponential((3 + x).exp())),
    "power": lambda x: MixtureGate(logits=x, off=PowerFunction((3 + x).exp())),
    "TruncatedLogNormal": lambda x: TruncatedLogNormal(x - 1, x.exp(), -20.0, 0.0),
}


@pytest.mark.parametrize("name", LAWS)
def test_laws_agree_with_the_processor(name: str) -> None:
    here = torch.linspace(-0.5, 0.5, 9)
    there = here.to(DEVICE).requires_grad_()
    cpu, law = LAWS[name](here), LAWS[name](there)

    draws = law.rsample(torch.Size([20_000]))
    assert draws.device.type == DEVICE
    draws.mean().backward()
    assert there.grad is not None and there.grad.isfinite().all()
    torch.testing.assert_close(draws.mean(0).cpu(), cpu.mean, rtol=0.05, atol=0.02)
    values = torch.linspace(0.1, 0.9, 9)
    torch.testing.assert_close(
        law.log_prob(values.to(DEVICE)).detach().cpu(), cpu.log_prob(values), rtol=1e-4, atol=1e-4
    )


def test_from_a_network_to_a_smaller_one(tmp_path: Path) -> None:
    model, guide = program()
    x, y = data()
    training = fit(
        model,
        guide,
        (x, y),
        epochs=20,
        lr=5e-3,
        gate_lr=3e-2,
        progress=False,
        budget=Budget(macs=0.5),
        checkpoint=tmp_path / "run.checkpoint",
    )
    assert training.epoch == 20

    frozen = freeze(model, guide).eval()
    small = compact(frozen, x[:2])
    wanted = frozen(x).detach()
    torch.testing.assert_close(small(x), wanted, rtol=0, atol=1e-4 * float(wanted.abs().max()))
    assert count(small, x[:1]).macs <= 0.5 * count(network().to(DEVICE), x[:1]).macs
    assert (small(x).argmax(-1) == y).float().mean() > 0.9

    found = predict(model, guide, x, num_samples=10)
    assert isinstance(found, Classification) and found.probs.device.type == DEVICE
    assert all(mask.device.type == DEVICE for mask in masks(guide).values())
    assert len(gate_table(guide)) and len(report(model, guide, x[:2]))

    save(tmp_path / "small.safetensors", small)
    again = load(tmp_path / "small.safetensors", network()).to(DEVICE).eval()
    torch.testing.assert_close(again(x), small(x))


def test_a_checkpoint_goes_on_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    settings: dict[str, Any] = {"checkpoint": path, "progress": False, "seed": 0}
    model, guide = program()
    fit(model, guide, data(), epochs=2, **settings)

    model, guide = program()
    x, y = data()
    training = fit(model.cpu(), guide.cpu(), (x.cpu(), y.cpu()), epochs=4, resume=True, **settings)
    assert training.epoch == 4


def losses(elbo: TraceSparse_ELBO, model: nn.Module, guide: nn.Module) -> list[float]:
    model, guide = copy.deepcopy((model, guide))
    bound = elbo(model, guide)
    optimizer = torch.optim.SGD(bound.parameters(), 1e-5)
    x, y = data()
    torch.manual_seed(1)
    seen = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = bound(x, y)
        loss.backward()
        optimizer.step()
        seen.append(loss.item())
    return seen


@pytest.mark.parametrize("gradients", ["joint", "loss"])
def test_compiled_is_eager(gradients: str) -> None:
    model, guide = program(weight=LogUniform())
    with torch._inductor.config.patch(fallback_random=True):
        ours = losses(TraceSparse_ELBO(compile=True, gradients=gradients), model, guide)
    assert ours == pytest.approx(losses(TraceSparse_ELBO(), model, guide), rel=1e-3)


@pytest.mark.parametrize("gradients", ["joint", "loss"])
def test_cuda_graphs(gradients: str) -> None:
    """Replayed graphs draw fresh noise, and follow the same way downhill."""
    model, guide = program(weight=LogUniform())
    options: dict[str, Any] = {"compile": True, "gradients": gradients}
    ours = losses(TraceSparse_ELBO(mode="reduce-overhead", **options), model, guide)
    assert len(set(ours)) == len(ours)
    assert ours == pytest.approx(losses(TraceSparse_ELBO(), model, guide), rel=0.2)


def test_a_whole_step_in_one_graph() -> None:
    model, guide = program()
    x, y = data()
    optimizer = torch.optim.Adam(nn.ModuleList([model, guide]).parameters(), 5e-3)
    step = TrainingStep(TraceSparse_ELBO(compile=True), model, guide, optimizer)
    seen = [step(x, y).item() for _ in range(60)]
    assert sum(seen[-5:]) < 0.7 * sum(seen[:5])


def test_variances_in_bfloat16() -> None:
    model, guide = program(weight=LogUniform())
    ours = losses(TraceSparse_ELBO(variance_dtype=torch.bfloat16), model, guide)
    assert ours == pytest.approx(losses(TraceSparse_ELBO(), model, guide), rel=0.02)
