from collections.abc import Callable

import pyro
import pytest
import torch
from pyro.distributions import Bernoulli, Normal
from torch import Tensor, nn

from models.lenet import lenet5, mlp
from pyro_sparse.distributions import L0, HardConcrete, LogUniform
from pyro_sparse.guides import AutoSparse
from pyro_sparse.local import peel
from pyro_sparse.nn import bayesianize
from pyro_sparse.prune import compact, count, freeze
from pyro_sparse.prune.expected import expected_macs
from pyro_sparse.prune.mask import posteriors
from tests.common import assert_mean
from tests.prune.nets import Dense, Grouped, Residual

STANDARD = Normal(0.0, 1.0)


def spread_gates(guide: AutoSparse) -> None:
    """Gates of many probabilities, none of them nearly closed."""
    with torch.no_grad():
        for name, parameter in guide.named_parameters():
            if name.endswith("logits"):
                parameter.uniform_(-1.0, 3.0)


def drawn_macs(model: nn.Module, guide: AutoSparse, x: Tensor, draws: int) -> Tensor:
    """Multiply-adds of compact networks whose gates are drawn, `(draws,)`."""
    found = posteriors(guide)
    costs = []

    for _ in range(draws):
        kept = {
            site: torch.bernoulli(p.law.prob_active).bool()
            if isinstance(p.law, HardConcrete)
            else torch.ones(p.law.batch_shape, dtype=torch.bool)
            for site, p in found.items()
        }
        open_guide = at_one(guide, kept)
        net = freeze(model, open_guide, kept)
        costs.append(float(count(compact(net, x, allow_empty=True), x).macs))

    return torch.tensor(costs, dtype=torch.double)


def at_one(guide: AutoSparse, kept: dict[str, Tensor]) -> Callable[[], None]:
    """A guide whose gates are 1 where open: a deterministic gate may be 0 by itself."""
    laws = {site: peel(law) for site, law in guide.laws().items()}
    values = {s: kept[s].float() if "gate" in s else law.mean.detach() for s, law in laws.items()}

    def point() -> None:
        for site, value in values.items():
            pyro.sample(site, pyro.distributions.Delta(value).to_event(value.dim()))

    return point


def behind_norms(name: str, module: nn.Module) -> str | None:
    return "out" if isinstance(module, nn.BatchNorm2d) and not name.endswith("bn2") else None


def prob_active(guide: AutoSparse, site: str) -> Tensor:
    law = peel(guide.laws()[site])
    assert isinstance(law, HardConcrete)
    return law.prob_active


@pytest.mark.parametrize(
    ("build", "shape", "options"),
    [
        (lambda: mlp(12, 15, 10, 4), (2, 12), {"gate_dim": "in"}),
        (lambda: mlp(12, 15, 10, 4), (2, 12), {"gate_dim": "out"}),
        (lambda: lenet5((6, 8, 20)), (1, 1, 28, 28), {"gate_dim": "in"}),
    ],
)
def test_chains_cost_on_average_what_their_draws_do(
    build: Callable[[], nn.Module], shape: tuple[int, ...], options: dict[str, str]
) -> None:
    model = bayesianize(build(), weight=STANDARD, gate=L0(1.0), **options)  # type: ignore
    guide = AutoSparse(model)
    spread_gates(guide)
    x = torch.randn(shape)

    expected = expected_macs(model, guide, x)

    total = torch.stack(list(expected.values())).sum().double().detach()
    if options["gate_dim"] == "out":
        # The gates of the last layer leave outputs that are always 0, but no fewer of them.
        guide.get_parameter("sites.fc3.gate.base__logits").data.fill_(20.0)
        last = expected["fc3"] / prob_active(guide, "fc3.gate").mean()
        assert last < 40
        expected = expected_macs(model, guide, x)
        total = torch.stack(list(expected.values())).sum().double().detach()

    assert_mean(drawn_macs(model, guide, x, draws=120), total)


@pytest.mark.parametrize("build", [Residual, Dense])
def test_gates_behind_norms(build: type[nn.Module]) -> None:
    model = bayesianize(build(), weight=STANDARD, gate=L0(1.0), gate_dim=behind_norms)
    guide = AutoSparse(model)
    spread_gates(guide)
    x = torch.randn(1, 2, 6, 6)

    total = torch.stack(list(expected_macs(model, guide, x).values())).sum()

    drawn = drawn_macs(model, guide, x, draws=60)
    assert total.item() == pytest.approx(drawn.mean().item(), rel=0.05)
    assert total < count(build(), x).macs


def test_open_gates_cost_everything() -> None:
    for build, shape in ((Grouped, (1, 2, 9, 9)), (lambda: mlp(5, 4, 3), (1, 5))):
        net = build()
        model = bayesianize(net, weight=STANDARD, gate=L0(1.0))
        guide = AutoSparse(model, init_gate_prob=1 - 1e-9)

        expected = expected_macs(model, guide, torch.randn(shape))

        dense = {row.name: row.macs for row in count(net, torch.randn(shape)).layers if row.macs}
        assert expected.keys() == dense.keys()
        for name, macs in expected.items():
            assert macs.item() == pytest.approx(dense[name], rel=1e-4)


def test_closed_formula_and_gradient() -> None:
    model = bayesianize(mlp(3, 4, 2), weight=STANDARD, gate=L0(1.0))
    guide = AutoSparse(model)
    spread_gates(guide)
    first, second = (prob_active(guide, f"fc{i}.gate") for i in (1, 2))

    expected = expected_macs(model, guide, torch.randn(1, 3))

    torch.testing.assert_close(expected["fc1"], first.sum() * second.sum())
    torch.testing.assert_close(expected["fc2"], second.sum() * 2)

    logits = guide.get_parameter("sites.fc2.gate.base__logits")
    (found,) = torch.autograd.grad(expected["fc1"] + expected["fc2"], logits, retain_graph=True)
    (each,) = torch.autograd.grad(second.sum(), logits)
    torch.testing.assert_close(found, each * (first.sum() + 2))


def test_gradients_are_finite_at_open_and_closed_gates() -> None:
    model = bayesianize(lenet5((3, 4, 5)), weight=STANDARD, gate=L0(1.0))
    guide = AutoSparse(model)
    with torch.no_grad():
        for name, parameter in guide.named_parameters():
            if name.endswith("logits"):
                parameter.copy_(torch.linspace(-200, 200, len(parameter)))

    sum(expected_macs(model, guide, torch.randn(1, 1, 28, 28)).values()).backward()  # type: ignore

    grads = [p.grad for n, p in guide.named_parameters() if n.endswith("logits")]
    assert all(grad is not None and grad.isfinite().all() for grad in grads)


def test_scales_count_as_open_or_closed() -> None:
    model = bayesianize(mlp(3, 4, 2), weight=STANDARD, gate=LogUniform())
    guide = AutoSparse(model)
    with torch.no_grad():
        guide.get_parameter("sites.fc2.gate.log_variance")[:3] = 5.0

    expected = expected_macs(model, guide, torch.randn(1, 3))

    assert {name: macs.item() for name, macs in expected.items()} == {"fc1": 3.0, "fc2": 2.0}


def test_a_bernoulli_prior_is_no_gate_law_but_its_posterior_is() -> None:
    model = bayesianize(mlp(3, 2), weight=STANDARD, gate=Bernoulli(0.5))
    guide = AutoSparse(model)

    total = expected_macs(model, guide, torch.randn(1, 3))["fc1"]

    assert 0 < total < 6
