"""From a torch network to a trained, inspected and smaller one, through every storey."""

import copy
import io
from dataclasses import dataclass, field
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from pyro.infer import SVI
from pyro.optim import ClippedAdam
from torch import Tensor, nn

from models.lenet import mlp
from pyro_sparse.distributions import (
    L0,
    EmpiricalNormal,
    HardNormal,
    LogUniform,
    MixtureGate,
    TruncatedExponential,
)
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import TraceSparse_ELBO, predict
from pyro_sparse.inspect import report, to_arviz
from pyro_sparse.nn import Classifier, bayesianize
from pyro_sparse.prune import compact, count, freeze, masks

INPUTS, RELEVANT, CLASSES, SIZE = 12, 3, 3, 600


def data(size: int = SIZE) -> tuple[Tensor, Tensor]:
    """Twelve inputs, of which the first three decide the class."""
    x = torch.randn(size, INPUTS)
    return x, (3 * x[:, :RELEVANT] + 0.3 * torch.randn(size, CLASSES)).argmax(-1)


@dataclass(frozen=True)
class Method:
    """A way to a sparse posterior: priors, what the guide is told, weight of the divergences."""

    priors: dict[str, Any]
    guide: dict[str, Any] = field(default_factory=dict)
    pressure: float = 1.0


MIXTURE = MixtureGate(probs=torch.tensor(0.5), off=TruncatedExponential(torch.tensor(30.0)))
METHODS = {
    "hard concrete": Method({"gate": L0(0.3)}, {"init_gate_prob": 0.5}),
    "Bernoulli": Method(
        {"gate": dist.Bernoulli(1e-3), "weight": dist.Normal(0.0, 1.0)}, {"init_gate_prob": 0.5}
    ),
    "stochastic gates": Method({"gate": L0(0.3)}, {"gate": HardNormal(0.5, 0.5)}),
    "mixtures": Method({"gate": L0(0.3)}, {"gate": MIXTURE}),
    "variational dropout": Method({"weight": LogUniform()}),
    "information bottleneck": Method(
        {"gate": EmpiricalNormal()}, {"init_scale": 0.3}, pressure=20.0
    ),
}


def train(
    model: Classifier, guide: AutoSparse, steps: int = 300, pressure: float = 1.0
) -> list[float]:
    """Warms the divergences up over the first half."""
    elbo = TraceSparse_ELBO(kl_weight=lambda step: pressure * min(1.0, 2 * step / steps))
    loss = elbo(model, guide)
    optimiser = torch.optim.Adam(loss.parameters(), lr=0.02)
    x, y = data()

    losses = []
    for _ in range(steps):
        batch = torch.randint(SIZE, (200,))
        optimiser.zero_grad()
        value = loss(x[batch], y[batch])
        value.backward()
        optimiser.step()
        losses.append(value.item())
    return losses


@pytest.mark.parametrize("name", METHODS)
def test_a_network_becomes_smaller_and_stays_right(name: str) -> None:
    method = METHODS[name]
    model = Classifier(bayesianize(mlp(INPUTS, 20, CLASSES), **method.priors), SIZE)
    guide = AutoSparse(model, **method.guide)
    train(model, guide, pressure=method.pressure)
    x, y = data(300)

    prediction = predict(model, guide, x, num_samples=20)
    assert (prediction.labels == y).float().mean() > 0.9  # type: ignore[union-attr]

    frozen = freeze(model, guide)
    dead = (frozen.get_parameter("fc1.weight") == 0).float().mean(0)
    needed, useless = dead[:RELEVANT].mean().item(), dead[RELEVANT:].mean().item()
    assert useless > max(0.5, needed + 0.1)
    assert (frozen(x).argmax(-1) == y).float().mean() > 0.9

    small = compact(frozen, x[:1])
    wanted = frozen(x).detach()
    torch.testing.assert_close(small(x), wanted, rtol=0, atol=1e-5 * float(wanted.abs().max()))
    assert count(small, x[:1]).parameters <= count(frozen, x[:1]).parameters
    if "gate" in method.priors:
        assert count(small, x[:1]).macs < 0.7 * count(frozen, x[:1]).macs


def test_a_checkpoint_gives_the_same_masks_and_predictions() -> None:
    model = Classifier(bayesianize(mlp(INPUTS, 20, CLASSES), gate=L0(0.3)), SIZE)
    guide = AutoSparse(model, init_gate_prob=0.5)
    train(model, guide, steps=200)
    file = io.BytesIO()
    torch.save({"model": model.state_dict(), "guide": guide.state_dict()}, file)
    file.seek(0)

    loaded = torch.load(file)
    again = Classifier(bayesianize(mlp(INPUTS, 20, CLASSES), gate=L0(0.3)), SIZE)
    fresh = AutoSparse(again)
    again.load_state_dict(loaded["model"])
    fresh.load_state_dict(loaded["guide"])

    x, _ = data(50)
    kept, found = masks(guide), masks(fresh)
    assert kept.keys() == found.keys() and not all(mask.all() for mask in kept.values())
    assert all(torch.equal(kept[site], found[site]) for site in kept)
    torch.testing.assert_close(freeze(again, fresh)(x), freeze(model, guide)(x))
    predictions = []
    for pair in ((model, guide), (again, fresh)):
        torch.manual_seed(0)
        predictions.append(predict(*pair, x, num_samples=5).probs)  # type: ignore[union-attr]
    torch.testing.assert_close(*predictions)


def test_training_goes_on_where_it_stopped() -> None:
    """Twenty steps at once, and ten, a checkpoint, and ten more."""

    def made() -> tuple[nn.ModuleList, Any]:
        torch.manual_seed(0)
        model = Classifier(bayesianize(mlp(INPUTS, 20, CLASSES), gate=L0(0.3)), SIZE)
        modules = nn.ModuleList([model, AutoSparse(model)])
        return modules, torch.optim.Adam(modules.parameters(), lr=0.02)

    def run(modules: Any, optimiser: Any, steps: range) -> None:
        loss = TraceSparse_ELBO()(*modules)
        x, y = batches
        for step in steps:
            torch.manual_seed(step)
            optimiser.zero_grad()
            loss(x, y).backward()
            optimiser.step()

    batches = data(100)
    whole, optimiser = made()
    run(whole, optimiser, range(20))

    first, optimiser = made()
    run(first, optimiser, range(10))
    state = copy.deepcopy((first.state_dict(), optimiser.state_dict()))
    second, optimiser = made()
    second.load_state_dict(state[0])
    optimiser.load_state_dict(state[1])
    run(second, optimiser, range(10, 20))

    for name, value in whole.state_dict().items():
        torch.testing.assert_close(second.state_dict()[name], value, rtol=0, atol=0)


def test_looking_at_a_posterior() -> None:
    model = Classifier(bayesianize(mlp(INPUTS, 20, CLASSES), gate=L0(0.3)), SIZE)
    guide = AutoSparse(model, init_gate_prob=0.5)
    losses = train(model, guide, steps=60)
    x, y = data(40)

    table = report(model, guide, x)
    assert {"fc1", "fc2"} <= set(table.index) and (table["kl"] >= 0).all()

    result: Any = to_arviz(model, guide, x, y, num_samples=20, history={"loss": losses})
    gates = result["posterior"]["fc1.gate"]
    assert tuple(gates.shape) == (1, 20, INPUTS)
    laws: Any = guide.laws()["fc1.gate"]
    shown = torch.as_tensor(result["constant_data"]["fc1.gate.prob_active"].to_numpy())
    torch.testing.assert_close(shown.float(), laws.law.prob_active.detach())


class Residual(nn.Module):
    """Convolutions, norms, a branch and a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.branch = nn.Sequential(
            nn.Conv2d(8, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(inplace=True),
            nn.Conv2d(8, 8, 3, padding=1),
        )
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        x = x + self.branch(x)
        return self.head(x.mean((2, 3)))


def test_a_residual_network_trains_by_svi_and_keeps_its_outputs() -> None:
    """Local weights, gates after norms, in-place activations; nothing is left in the store."""

    def after_norms(name: str, module: nn.Module) -> str | None:
        return "out" if isinstance(module, nn.BatchNorm2d) else None

    net = bayesianize(Residual(), weight=LogUniform(), gate=L0(1.0), gate_dim=after_norms)
    model = Classifier(net, 100)
    guide = AutoSparse(model, init_gate_prob=0.3)
    svi = SVI(model, guide, ClippedAdam({"lr": 0.01}), TraceSparse_ELBO())
    x, y = torch.randn(16, 1, 6, 6), torch.arange(16) % 3

    losses = [svi.step(x, y) for _ in range(30)]

    assert all(torch.tensor(losses).isfinite())
    assert sum(losses[-5:]) < sum(losses[:5])
    norm: Any = model.net.get_submodule("norm")
    assert norm.num_batches_tracked == 30

    frozen = freeze(model, guide, {**masks(guide), "norm.gate": torch.arange(8) % 2 == 0}).eval()
    small = compact(frozen, x[:2])
    torch.testing.assert_close(small(x), frozen(x), rtol=0, atol=1e-5)
    assert count(small, x[:2]).parameters < count(frozen, x[:2]).parameters
