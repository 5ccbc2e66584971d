"""Cheap facts about a posterior."""

from collections.abc import Callable
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from torch import Tensor, nn
from torch.distributions.transforms import SoftplusTransform

from models.lenet import mlp
from pyro_sparse.distributions import L0, LogUniform
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer.facts import at_the_mean, share_alive
from pyro_sparse.nn import Classifier, Regressor, bayesianize
from pyro_sparse.prune import freeze
from tests.infer.programs import data, program

X, Y = data()


def test_a_closed_gate_takes_its_weights_along() -> None:
    model = bayesianize(mlp(4, 6, 3), gate=L0(1.0))
    guide = AutoSparse(model)
    assert share_alive(model, guide) == 1.0

    with torch.no_grad():
        guide.get_parameter("sites.fc1.gate.base__logits")[0] = -9.0
        guide.get_parameter("sites.fc2.gate.base__logits")[:3] = -9.0

    alive = share_alive(model, guide)
    assert alive is not None and abs(alive - (3 * 6 + 3 * 3) / (24 + 18)) < 1e-6


def test_single_weights_count_one_by_one() -> None:
    model = bayesianize(nn.Linear(4, 3), weight=LogUniform())
    guide = AutoSparse(model)
    with torch.no_grad():
        guide.get_parameter("sites.weight.loc")[0] = 0.0

    assert share_alive(model, guide) == 2 / 3


def test_nothing_is_said_of_other_programs() -> None:
    assert share_alive(lambda: None, lambda: None) is None


def test_the_mean_is_the_frozen_network() -> None:
    """Gates at their test-time values, in evaluation mode, over several batches."""
    model, guide = program()
    with torch.no_grad():
        guide.get_parameter("sites.0.gate.base__logits")[0] = -9.0
    batches = [((X[:50], Y[:50]), {}), ((), {"x": X[50:], "y": Y[50:]})]

    found = at_the_mean(model, guide, batches)

    logits = freeze(
        model, guide, {s: torch.ones(law.shape()) > 0 for s, law in guide.laws().items()}
    )
    logits = logits.eval()(X)
    assert abs(found["error"] - (logits.argmax(-1) != Y).float().mean().item()) < 1e-6
    assert abs(found["nll"] - nn.functional.cross_entropy(logits, Y).item()) < 1e-6
    assert model.training and guide.training


def test_responses_have_an_rmse() -> None:
    model = Regressor(bayesianize(nn.Linear(4, 2), weight=LogUniform()), num_data=90)
    y = torch.zeros(90, 2)
    found = at_the_mean(model, guide := AutoSparse(model), [((X, y), {})])

    every = {"weight": torch.ones(2, 4) > 0}
    frozen = freeze(model, guide, every)
    assert abs(found["rmse"] - frozen(X).square().mean().sqrt().item()) < 1e-6
    assert "error" not in found


def test_no_data_says_nothing() -> None:
    assert at_the_mean(*program(), []) == {}


def test_probabilities_of_one_class_meet_their_labels() -> None:
    def model(x: torch.Tensor, y: torch.Tensor) -> None:
        w = pyro.sample("w", dist.Normal(torch.zeros(4), 1.0).to_event(1))
        with pyro.plate("data", len(x)):
            pyro.sample("obs", dist.Bernoulli(logits=x @ w), obs=y)

    def guide(x: torch.Tensor, y: torch.Tensor) -> None:
        pyro.sample("w", dist.Normal(torch.tensor([9.0, 0.0, 0.0, 0.0]), 0.1).to_event(1))

    right = (X[:, 0] > 0).float()
    assert at_the_mean(model, guide, [((X, right), {})])["error"] == 0
    assert at_the_mean(model, guide, [((X, 1 - right), {})])["error"] == 1


def test_the_classifier_is_left_as_it_was() -> None:
    model, guide = program()
    model.eval()
    at_the_mean(model, guide, [((X, Y), {})])

    assert not model.training and isinstance(model, Classifier)


WEIGHT = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
SEEN: Any = torch.arange(90) < 30
WRONG = torch.where(SEEN, Y, (Y + 1) % 3)  # where it is hidden


def at_a_point(observe: Callable, *batches: tuple[Tensor, ...]) -> dict[str, float]:
    """Facts of a linear model by hand."""

    def model(x: Tensor, y: Tensor) -> None:
        weight = pyro.sample("w", dist.Normal(torch.zeros(3, 4), 1.0).to_event(2))
        with pyro.plate("data", 900, subsample=x, dim=-1):
            observe(x @ weight.T, y)

    def guide(x: Tensor, y: Tensor) -> None:
        pyro.sample("w", dist.Normal(WEIGHT, 0.1).to_event(2))

    return at_the_mean(model, guide, [(batch, {}) for batch in batches or ((X, Y),)])


def classes(logits: Tensor, y: Tensor) -> None:
    pyro.sample("y", dist.Categorical(logits=logits), obs=y)


def test_an_example_with_two_observations_counts_once() -> None:
    def both(logits: Tensor, y: Tensor) -> None:
        classes(logits, y)
        pyro.sample("again", dist.Categorical(logits=logits), obs=y)

    found = at_a_point(both, (X[:50], Y[:50]), (X[50:], Y[50:]))

    nll = nn.functional.cross_entropy(X @ WEIGHT.T, Y).item()
    assert found["nll"] == pytest.approx(2 * nll, rel=1e-5)
    assert found["error"] == pytest.approx(at_a_point(classes)["error"])


def test_plates_of_outputs_do_not_count() -> None:
    def outputs(logits: Tensor, y: Tensor) -> None:
        with pyro.plate("outputs", 3, dim=-2):
            pyro.sample("y", dist.Normal(logits.T, 1.0), obs=y.expand(3, 90).float())

    found = at_a_point(outputs)

    density = dist.Normal(X @ WEIGHT.T, 1.0).log_prob(Y[:, None].float())
    assert found["nll"] == pytest.approx(-density.sum().item() / 90, rel=1e-5)


@pytest.mark.parametrize("how", ["handler", "law"])
def test_what_is_masked_is_left_out(how: str) -> None:
    def masked(logits: Tensor, y: Tensor) -> None:
        law = dist.Categorical(logits=logits)
        with poutine.mask(mask=SEEN if how == "handler" else True):
            pyro.sample("y", law if how == "handler" else law.mask(SEEN), obs=y)

    found = at_a_point(masked, (X, WRONG))

    logits = (X @ WEIGHT.T)[SEEN]
    nll = nn.functional.cross_entropy(logits, Y[SEEN], reduction="sum").item() / 90
    assert found["nll"] == pytest.approx(nll, rel=1e-5)
    assert found["error"] == pytest.approx((logits.argmax(-1) != Y[SEEN]).double().mean().item())


def test_masked_responses_have_no_error() -> None:
    def masked(logits: Tensor, y: Tensor) -> None:
        law = dist.Normal(logits, 1.0).to_event(1)
        pyro.sample("y", law.mask(SEEN), obs=y)

    y = torch.where(SEEN[:, None], torch.zeros(90, 3), torch.nan)
    with pyro.validation_enabled(False):
        found = at_a_point(masked, (X, y))

    rmse = (X @ WEIGHT.T)[SEEN].square().mean().sqrt().item()
    assert found["rmse"] == pytest.approx(rmse, rel=1e-5)


def test_terms_without_data_are_no_likelihood() -> None:
    def with_a_term(logits: Tensor, y: Tensor) -> None:
        pyro.factor("term", -logits.square().sum(-1))
        classes(logits, y)

    assert at_a_point(with_a_term) == at_a_point(classes)


def test_a_law_without_a_mean_has_no_rmse() -> None:
    def softplus(logits: Tensor, y: Tensor) -> None:
        law = dist.TransformedDistribution(dist.Normal(logits[:, 0], 1.0), [SoftplusTransform()])
        pyro.sample("y", law, obs=y + 1.0)

    assert at_a_point(softplus).keys() == {"nll"}


def test_nothing_observed_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"\(Tensor\), it observes nothing.*validation=\(x, y\)"):
        at_the_mean(*program(), [((X,), {})])
