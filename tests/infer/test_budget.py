"""Trainings that end at the size they were given."""

import copy
import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from pyro.distributions import Normal
from torch import nn

from models.lenet import mlp
from pyro_sparse.distributions import (
    L0,
    HardConcrete,
    HardNormal,
    LogUniform,
    MixtureGate,
    TruncatedExponential,
    TruncatedLogUniform,
)
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import Budget, TraceSparse_ELBO, fit
from pyro_sparse.nn import Classifier, bayesianize
from pyro_sparse.prune import compact, count, freeze
from tests.infer.programs import Stopping, assert_same, numbers

DENSE = 8 * 20 + 20 * 20 + 20 * 3
MIXTURE = MixtureGate(logits=0.5, off=TruncatedExponential(20.0))


def data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(256, 8, generator=generator)
    return x, (x[:, :4].sum(1) > 0).long() + (x[:, 0] > x[:, 1]).long()


def program(guide: dict[str, Any] | None = None, **priors: Any) -> tuple[Classifier, AutoSparse]:
    torch.manual_seed(0)
    priors = priors or {"gate": L0(0.0)}
    model = Classifier(bayesianize(mlp(8, 20, 20, 3), **priors), num_data=256)
    return model, AutoSparse(model, **(guide or {"init_gate_prob": 0.5}))


def train(model: Any, guide: Any, budget: Budget | None, **settings: Any) -> Any:
    settings = {"epochs": 60, "batch_size": 128, "lr": 2e-2, "gate_lr": 8e-2, **settings}
    return fit(model, guide, data(), budget=budget, seed=1, progress=False, **settings)


def left(model: Any, guide: Any, kind: str = "weights") -> float:
    x = torch.zeros(2, 8)
    dense, small = (count(net, x) for net in (mlp(8, 20, 20, 3), compact(freeze(model, guide), x)))
    return getattr(small, kind) / getattr(dense, kind)


@pytest.mark.parametrize(
    "given, kind, limit",
    [
        ({"weights": 0.3}, "weights", 0.3),
        ({"macs": 0.15}, "macs", 0.15),
        ({"weights": 150}, "weights", 150 / DENSE),
    ],
    ids=str,
)
def test_the_compact_network_has_the_size_that_was_asked_for(
    given: dict[str, Any], kind: str, limit: float
) -> None:
    """It is never above; how far below depends on how much goes with the last unit."""
    model, guide = program()
    training = train(model, guide, Budget(**given))

    assert 0.6 * limit < left(model, guide, kind) <= limit + 1e-6
    assert training.row["size"] == pytest.approx(left(model, guide, kind))
    assert training.row["multiplier"] == 0
    assert max(row["multiplier"] for row in training.rows) > 0


@pytest.mark.parametrize(
    "guide",
    [{"gate": HardNormal(loc=0.5, scale=0.5)}, {"gate": MIXTURE}],
    ids=["hard normal", "mixture"],
)
def test_other_gate_laws(guide: dict[str, Any]) -> None:
    model, its_guide = program(guide)
    train(model, its_guide, Budget(weights=0.3))

    assert 0.1 < left(model, its_guide) <= 0.3


def test_sparse_variational_dropout_counts_single_weights() -> None:
    model, guide = program({}, weight=LogUniform())
    train(model, guide, Budget(weights=0.1), warm_up=(0.9, 1.0))

    frozen = freeze(model, guide)
    nonzero = sum(int(p.count_nonzero()) for p in frozen.parameters() if p.ndim > 1)
    assert 0.03 < nonzero / DENSE <= 0.1


def test_noisy_gates_follow_the_allowed_size() -> None:
    """Their chances only say how far they are from a threshold, and are not counted as sizes."""
    model, guide = program({}, gate=TruncatedLogUniform(-20.0, 0.0))
    budget = Budget(weights=0.3)
    budget.attach(model, guide, torch.zeros(1, 8))

    assert budget.about.sizes(budget.about.sizes.typical()).sum() == DENSE
    train(model, guide, budget)
    assert 0.28 < left(model, guide) <= 0.3


def test_gates_count_with_their_chances() -> None:
    model, guide = program()
    budget = Budget(weights=0.3)
    budget.attach(model, guide, torch.zeros(1, 8))
    sizes = budget.about.sizes

    # A weight of the middle layer gets an input with the one chance, is read with the other.
    chance = HardConcrete(probs=0.5).prob_active
    torch.testing.assert_close(sizes(sizes.typical())[1], 400 * chance**2)


def test_gates_that_hardly_move_are_closed_little_by_little() -> None:
    model, guide = program()
    rows = train(model, guide, Budget(weights=0.3, gain=1e-3), gate_lr=1e-4, epochs=200).rows
    sizes = [row["size"] for row in rows]

    # Of the second stage, epochs 100 to 150; a unit is a twentieth of two layers.
    assert sizes[98] == 1.0
    assert 0.45 < sizes[124] < 0.65
    assert 0.28 < sizes[150] <= 0.3
    assert all(0.8 * a < b <= a for a, b in itertools.pairwise(sizes[:151]))


def test_what_the_prior_closes_further_is_not_opened_again() -> None:
    """Pressure at the beginning, before the prior has done its work, is no reason to."""
    model, guide = program({}, weight=LogUniform())
    training = train(model, guide, Budget(weights=0.3))

    assert training.row["size"] < 0.1


def test_every_layer_its_share() -> None:
    """Its own inputs decide, so that one layer's budget does not narrow the one before it."""
    model, guide = program()
    train(model, guide, Budget(sparsity=0.6, per_layer=True))
    small = count(compact(freeze(model, guide), torch.zeros(2, 8)), torch.zeros(2, 8))

    # Of 8 inputs 3 are left, the next larger share would be 0.5; others land on their share.
    shares = [small[f"fc{i}"].weights / size for i, size in ((1, 160), (2, 400), (3, 60))]
    assert shares == pytest.approx([0.375, 0.4, 0.4])


def test_a_layer_s_pressure_is_on_its_own_gates() -> None:
    model, guide = program()
    budget = Budget(weights=0.5, per_layer=True)
    budget.attach(model, guide, torch.zeros(1, 8))
    budget.multiplier.copy_(torch.tensor([0.0, 1.0, 0.0]))

    logits = {n.split(".")[1]: p for n, p in guide.named_parameters() if "logits" in n}
    gradients = torch.autograd.grad(
        budget.penalty(), list(logits.values()), materialize_grads=True
    )
    pressed = dict(zip(logits, gradients, strict=True))
    assert (pressed["fc2"] > 0).all()
    assert not pressed["fc1"].any() and not pressed["fc3"].any()


def test_a_settled_budget_stays_settled_in_a_longer_training() -> None:
    model, guide = program()
    budget = Budget(weights=0.3)
    budget.attach(model, guide, torch.zeros(1, 8))
    budget.update(100, 100)
    with torch.no_grad():
        for parameter in guide.parameters():
            parameter.clamp_(min=2.0)

    assert budget.size() > 0.9
    budget.update(101, 1000)
    assert 0.2 < budget.size() <= 0.3


@pytest.mark.parametrize("pressed", [True, False])
def test_room_that_pressure_left_is_filled(pressed: bool) -> None:
    """What the prior closed stays closed."""
    model, guide = program()
    budget = Budget(weights=0.5)
    budget.attach(model, guide, torch.zeros(1, 8))
    with torch.no_grad():
        for site in ("fc1", "fc2", "fc3"):
            guide.get_parameter(f"sites.{site}.gate.base__logits")[3:] = -6.0
    budget.pressed.fill_(pressed)
    before = budget.size()

    budget.update(1, 1)

    assert before < 0.1
    assert 0.48 < budget.size() <= 0.5 if pressed else budget.size() == before
    assert left(model, guide) == pytest.approx(budget.size())


def test_pressure_is_remembered() -> None:
    def pressed(penalty: float, budget: Budget) -> bool:
        train(*program(gate=L0(penalty)), budget, epochs=20)
        return bool(budget.pressed)

    assert pressed(0.0, Budget(weights=0.3))
    assert not pressed(0.1, Budget(weights=1.0))


def test_a_budget_that_is_met_anyway_changes_nothing() -> None:
    one, two = program(), program()
    train(*one, None, epochs=3)
    train(*two, Budget(weights=1.0), epochs=3)

    for p, q in zip(one[1].parameters(), two[1].parameters(), strict=True):
        torch.testing.assert_close(p, q)


@pytest.mark.parametrize("before", [20, 50], ids=["while ascending", "when settled"])
def test_an_interruption_changes_nothing(before: int, tmp_path: Path) -> None:
    def run(**settings: Any) -> Any:
        return train(*program(), Budget(weights=0.3), epochs=30, **settings)

    path = tmp_path / "training.pt"
    whole = numbers(run(elbo=TraceSparse_ELBO()))
    with pytest.raises(KeyboardInterrupt):
        run(elbo=Stopping(before), checkpoint=path, every=0.0)
    resumed = numbers(run(elbo=TraceSparse_ELBO(), checkpoint=path, resume=True))

    assert_same(whole, resumed)


def test_what_is_written_down_is_the_likelihood_of_the_data() -> None:
    model, guide = program()
    row = train(model, guide, Budget(weights=0.3), epochs=2, warm_up=None).rows[0]
    alone = train(*program(), None, epochs=2, warm_up=None).rows[0]

    assert row["nll"] == pytest.approx(alone["nll"], rel=0.05)


def test_the_loss_that_is_written_down_has_no_term_of_the_budget() -> None:
    """Which is felt in these epochs, in which the weight of the divergences is the same."""
    rows = train(*program(), Budget(weights=0.1), warm_up=None, batch_size=256).rows[5:40]

    assert max(row["multiplier"] for row in rows) > 0.5
    for row in rows:
        assert row["loss"] == pytest.approx(row["nll"] + row["kl"], abs=1e-4)


def test_patience_waits_until_the_budget_is_kept() -> None:
    model, guide = program()
    training = train(model, guide, Budget(weights=0.1), epochs=80, patience=3, validation=data())

    losses = [row["validation_nll"] for row in training.rows]
    assert any(min(losses[i + 1 : i + 4]) > min(losses[: i + 1]) for i in range(56))
    assert training.epoch >= 60 and training.row["size"] <= 0.1


@pytest.mark.parametrize("ema", [0.9, 0.999])
def test_a_moving_average_keeps_to_the_budget(ema: float) -> None:
    """Though it has not forgotten yet what was open, and what was closed for a while."""
    model, guide = program()
    training = train(model, guide, Budget(weights=0.3), ema=ema)
    assert training.averaged is not None

    assert 0.6 * 0.3 < left(*training.averaged) <= 0.3
    assert training.row["size"] == pytest.approx(left(*training.averaged))
    assert left(model, guide) <= 0.3


def test_what_is_opened_again_is_opened_in_followers() -> None:
    model, guide = program()
    budget = Budget(weights=0.5)
    budget.attach(model, guide, torch.zeros(1, 8))
    with torch.no_grad():
        for site in ("fc1", "fc2", "fc3"):
            guide.get_parameter(f"sites.{site}.gate.base__logits")[3:] = -6.0
    budget.pressed.fill_(True)
    follower = copy.deepcopy(guide)

    budget.update(1, 1, follower)

    assert 0.48 < budget.size(follower) == budget.size() <= 0.5


@pytest.mark.slow
def test_compiled() -> None:
    model, guide = program()
    train(model, guide, Budget(weights=0.3), elbo=TraceSparse_ELBO(compile=True))

    assert 0.2 < left(model, guide) <= 0.3


def test_by_hand() -> None:
    model, guide = program()
    budget = Budget(weights=0.3)
    bounded = budget.attach(model, guide, torch.zeros(1, 8))
    bound = TraceSparse_ELBO()(bounded, guide)
    optimizer = torch.optim.Adam(bound.parameters(), lr=5e-2)
    for step in range(1, 201):
        optimizer.zero_grad()
        (bound(*data()) / 256).backward()
        optimizer.step()
        budget.update(step, 200)

    assert left(model, guide) == pytest.approx(budget.size()) and budget.size() <= 0.3


@pytest.mark.parametrize(
    "given, message",
    [
        ({}, "got none"),
        ({"weights": 0.1, "macs": 0.1}, "one of weights, macs and sparsity"),
        ({"weights": 0.0}, "weights is a share or a number"),
        ({"weights": -3}, "positive and finite, got -3"),
        ({"macs": float("nan")}, "positive and finite, got nan"),
        ({"sparsity": 1.0}, "sparsity is a share"),
        ({"weights": 100, "per_layer": True}, "share of each layer, at most 1, got 100"),
        ({"weights": 0.1, "stages": (0.5, 0.2, 0.9)}, "rising order"),
        ({"weights": 0.1, "stages": (0.5, 0.9)}, r"three shares in rising order, got \(0\.5"),
        ({"weights": 0.1, "gain": 0.0}, "gain is positive"),
    ],
)
def test_bad_budgets(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Budget(**given)


def test_a_budget_is_a_number() -> None:
    with pytest.raises(TypeError, match=r"such as 0\.05, or a number of them, got '5%'"):
        Budget(weights="5%")  # type: ignore[arg-type]


def test_an_unreachable_budget_says_what_can_be_reached() -> None:
    with pytest.raises(ValueError, match=r"the network has 5 of 620 weights, 0\.81%"):
        train(*program(), Budget(weights=0.005))

    only_last = lambda name, module: name == "fc3"  # noqa: E731
    model, guide = program(gate=L0(0.0), select=only_last)
    with pytest.raises(ValueError, match=r"cannot be reached.*gate more layers"):
        train(model, guide, Budget(weights=0.1))


def test_nothing_to_close() -> None:
    model = Classifier(bayesianize(mlp(8, 20, 20, 3), weight=Normal(0.0, 1.0)), num_data=256)

    with pytest.raises(ValueError, match="Nothing in this posterior can be closed"):
        train(model, AutoSparse(model), Budget(weights=0.1))


def test_other_programs_are_refused() -> None:
    model, guide = program()

    with pytest.raises(TypeError, match="AutoSparse"):
        Budget(weights=0.1).attach(model, nn.Linear(1, 1), torch.zeros(1, 8))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="such as Budget"):
        train(model, guide, 0.05)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="after attach"):
        Budget(weights=0.1).size()
