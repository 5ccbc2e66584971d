"""Cheap facts about a posterior."""

import torch
from torch import nn

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
    import pyro
    import pyro.distributions as dist

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
