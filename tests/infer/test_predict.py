"""The posterior predictive of models whose predictive is known."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyro
import pytest
import torch
from pyro.distributions import (
    Bernoulli,
    Categorical,
    Delta,
    Normal,
    OneHotCategorical,
    TransformedDistribution,
    Uniform,
)
from torch import Tensor, nn
from torch.distributions.transforms import SoftplusTransform

from pyro_sparse.distributions import L0, L2, HardConcrete, LogUniform
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer.footprint import Allocations
from pyro_sparse.infer.predict import predict
from pyro_sparse.infer.prediction import Classification, Regression
from pyro_sparse.local import Local
from pyro_sparse.nn import Classifier, Regressor, bayesianize
from tests.common import assert_mean

LOC, SCALE, NOISE = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([0.5, 0.1, 1.0]), 0.3


def line(x: Tensor, y: Tensor | None = None) -> Tensor:
    weight = pyro.sample("w", Normal(0.0, 1.0).expand([3]).to_event(1))

    with pyro.plate("data", len(x)):
        return pyro.sample("y", Normal(x @ weight, NOISE), obs=y)


def line_guide(x: Tensor, y: Tensor | None = None) -> None:
    pyro.sample("w", Local(Normal(LOC, SCALE), role="gate").to_event(1))


def small_network() -> tuple[nn.Module, AutoSparse]:
    net = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))
    model = Classifier(bayesianize(net, weight=LogUniform(), gate=L0(1.0)), num_data=100)
    return model, AutoSparse(model, init_scale=0.3)


@pytest.mark.parametrize("vectorize", [False, True])
def test_a_line_has_the_predictive_that_theory_gives(vectorize: bool) -> None:
    x = torch.randn(20, 3)

    found = predict(line, line_guide, x, 4000, return_draws=True, vectorize=vectorize)

    assert isinstance(found, Regression) and found.draws is not None
    assert_mean(found.draws, x @ LOC)
    assert_mean((found.draws - x @ LOC).square(), x.square() @ SCALE.square())
    assert torch.allclose(found.mean, found.draws.mean(0), atol=1e-5)
    assert torch.allclose(found.epistemic, found.draws.var(0, correction=0), rtol=1e-4)
    assert torch.allclose(found.noise, torch.tensor(NOISE**2))


@pytest.mark.parametrize("vectorize", [False, True])
def test_a_draw_is_one_network_at_all_inputs(vectorize: bool) -> None:
    x = torch.randn(1, 3)
    inputs = torch.cat([x * k for k in range(1, 101)])

    found = predict(
        line, line_guide, inputs, 7, return_draws=True, max_bytes=500, vectorize=vectorize
    )

    assert found.draws is not None
    expected = found.draws[:, :1] * torch.arange(1, 101)
    assert torch.allclose(found.draws, expected, rtol=1e-4)
    assert found.draws[:, 0].unique().numel() == 7


def test_pieces_do_not_change_the_result() -> None:
    model, guide = small_network()
    x = torch.randn(50, 5)

    results = []
    for max_bytes in (1, 3_000, 2**28):
        pyro.set_rng_seed(3)
        results.append(predict(model, guide, x, 11, max_bytes=max_bytes, vectorize=False))

    for other in results[1:]:
        assert isinstance(other, Classification) and isinstance(results[0], Classification)
        assert torch.allclose(other.probs, results[0].probs, atol=1e-6)
        assert torch.allclose(other.aleatoric, results[0].aleatoric, atol=1e-6)


@pytest.mark.parametrize("vectorize", [False, True])
def test_memory_is_bounded(vectorize: bool) -> None:
    model, guide = small_network()
    largest = 0

    class Largest(Allocations):
        def __torch_dispatch__(self, *args: object, **kwargs: object) -> object:
            nonlocal largest
            before = self.bytes
            result = super().__torch_dispatch__(*args, **kwargs)  # type: ignore[arg-type]
            largest = max(largest, self.bytes - before)
            return result

    with Largest():
        predict(model, guide, torch.randn(2000, 5), 30, max_bytes=40_000, vectorize=vectorize)

    # The result itself, 2000 x 3 probabilities, is not counted in the bound.
    assert largest <= 40_000


def test_together_and_one_by_one_agree() -> None:
    model, guide = small_network()
    x = torch.randn(4, 5)

    one = predict(model, guide, x, 3000, return_draws=True, vectorize=False)
    all_ = predict(model, guide, x, 3000, return_draws=True, vectorize=True)

    assert isinstance(one, Classification) and isinstance(all_, Classification)
    assert one.draws is not None and all_.draws is not None
    assert_mean(one.draws - all_.draws, 0.0)
    assert torch.allclose(one.epistemic, all_.epistemic, atol=0.02)
    assert torch.allclose(one.total, one.aleatoric + one.epistemic, atol=1e-6)


def test_a_point_posterior_has_no_epistemic_part() -> None:
    net = nn.Linear(5, 3)
    model = Classifier(bayesianize(net, weight=L2(1.0)), num_data=100)
    x = torch.randn(6, 5)

    found = predict(model, AutoSparse(model), x, 10)

    assert isinstance(found, Classification)
    assert torch.allclose(found.probs, net(x).softmax(-1), atol=1e-6)
    assert float(found.epistemic.max()) < 1e-6


def test_regressor_reports_its_noise() -> None:
    model = Regressor(bayesianize(nn.Linear(5, 2), weight=LogUniform()), 100, noise=0.25)

    found = predict(model, AutoSparse(model), torch.randn(6, 5), 5)

    assert isinstance(found, Regression)
    assert found.mean.shape == found.epistemic.shape == (6, 2)
    assert torch.allclose(found.noise, torch.tensor(0.0625))


@pytest.mark.parametrize(
    "law",
    [
        lambda p: Bernoulli(p[:, 1]),
        lambda p: Categorical(p),
        lambda p: OneHotCategorical(p),
    ],
)
def test_every_law_of_classes_gives_probabilities(law: Callable) -> None:
    probs = torch.tensor([[0.2, 0.8], [0.6, 0.4], [1.0, 0.0]])

    def model(x: Tensor) -> None:
        pyro.sample("y", law(probs[x]))

    found = predict(model, lambda x: None, torch.arange(3), 4)

    assert isinstance(found, Classification)
    assert torch.allclose(found.probs, probs)
    assert torch.allclose(found.aleatoric, torch.special.entr(probs).sum(-1), atol=1e-5)


def test_sites_of_a_guide_may_depend_on_each_other() -> None:
    def model(x: Tensor) -> None:
        gate = pyro.sample("z", Bernoulli(0.5))
        weight = pyro.sample("w", Normal(0.0, 1.0))
        pyro.sample("y", Normal(x * weight * gate, 1.0))

    def guide(x: Tensor) -> None:
        gate = pyro.sample("z", Local(HardConcrete(logits=torch.tensor(0.0))))
        pyro.sample("w", Delta(2.0 * (1 - gate)))

    for vectorize in (False, True):
        found = predict(model, guide, torch.ones(2), 500, return_draws=True, vectorize=vectorize)
        assert found.draws is not None and float(found.draws.max()) <= 0.5 + 1e-6


def test_what_cannot_be_vectorised_runs_one_by_one() -> None:
    def model(x: Tensor) -> None:
        weight = pyro.sample("w", Normal(0.0, 1.0))
        pyro.sample("y", Normal(x * weight.item(), 1.0))

    def guide(x: Tensor) -> None:
        pyro.sample("w", Normal(1.0, 0.1))

    found = predict(model, guide, torch.ones(3), 50, return_draws=True)
    assert found.draws is not None and found.draws[:, 0].unique().numel() == 50

    with pytest.raises(RuntimeError, match="vmap"):
        predict(model, guide, torch.ones(3), 50, vectorize=True)


def test_errors_of_the_model_are_its_own() -> None:
    def model(x: Tensor) -> None:
        pyro.sample("y", Normal(x @ torch.ones(7), 1.0))

    with pytest.raises(RuntimeError, match=r"size mismatch|shapes"):
        predict(model, lambda x: None, torch.ones(3, 2), 50)


def test_modules_are_evaluated_and_put_back() -> None:
    net = nn.Sequential(nn.Linear(5, 3), nn.Dropout(0.9), nn.BatchNorm1d(3))
    model = Classifier(bayesianize(net, weight=L2(1.0)), num_data=100)
    guide = AutoSparse(model)
    means = [b.clone() for b in model.buffers()]

    first = predict(model, guide, torch.ones(4, 5), 3)
    second = predict(model, guide, torch.ones(4, 5), 3)

    assert isinstance(first, Classification) and isinstance(second, Classification)
    assert torch.equal(first.probs, second.probs)
    assert all(m.training for m in model.modules())
    assert all(torch.equal(a, b) for a, b in zip(means, model.buffers(), strict=True))
    assert not first.probs.requires_grad


def test_arguments_beside_the_inputs() -> None:
    def model(x: Tensor, y: Tensor | None) -> None:
        pyro.sample("y", Normal(x, 1.0), obs=y)

    found = predict(model, lambda x, y: None, (torch.arange(5.0), None), 2)

    assert isinstance(found, Regression)
    assert found.mean.tolist() == [0, 1, 2, 3, 4]


def test_the_observed_site_can_be_named() -> None:
    def model(x: Tensor) -> None:
        pyro.sample("a", Normal(x, 1.0))
        pyro.sample("b", Normal(-x, 1.0))

    found = predict(model, lambda x: None, torch.ones(2), 2, site="b")
    assert isinstance(found, Regression) and found.mean.tolist() == [-1, -1]

    with pytest.raises(ValueError, match=r"several sites of the model open: \['a', 'b'\]"):
        predict(model, lambda x: None, torch.ones(2), 2)

    with pytest.raises(ValueError, match=r"one of \['a', 'b'\], got 'c'"):
        predict(model, lambda x: None, torch.ones(2), 2, site="c")


def test_a_term_without_data_is_not_predicted() -> None:
    def model(x: Tensor, y: Tensor | None = None) -> None:
        pyro.factor("term", -x.square().sum())
        line(x, y)

    found: Any = predict(model, line_guide, torch.randn(5, 3), 3)
    assert found.mean.shape == (5,)


def test_a_law_without_a_mean_is_named() -> None:
    def model(x: Tensor) -> None:
        law = TransformedDistribution(Normal(x[:, 0], 1.0), [SoftplusTransform()])
        pyro.sample("y", law)

    with pytest.raises(ValueError, match="TransformedDistribution does not state its own"):
        predict(model, lambda x: None, torch.randn(5, 3), 3)


@pytest.mark.parametrize("x", [{"x": torch.ones(2, 3)}, np.ones((2, 3)), [np.ones((2, 3))]])
def test_inputs_are_tensors(x: Any) -> None:
    with pytest.raises(TypeError, match=r"got (dict|ndarray|list)\. Convert arrays"):
        predict(line, line_guide, x, 3)


def test_a_model_that_observes_nothing() -> None:
    def model(x: Tensor) -> None:
        pyro.sample("w", Normal(0.0, 1.0))

    with pytest.raises(ValueError, match="needs an observed site"):
        predict(model, lambda x: pyro.sample("w", Normal(0.0, 1.0)), torch.ones(2))


def test_a_guide_that_draws_per_example() -> None:
    def model(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", Normal(0.0, 1.0))
            pyro.sample("y", Normal(z * x, 1.0))

    def guide(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("z", Normal(0.0, 1.0))

    with pytest.raises(ValueError, match="'z' once per example of plate"):
        predict(model, guide, torch.ones(4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": torch.ones(0, 3)}, "positive number of rows"),
        ({"x": (torch.ones(2, 3), torch.ones(3))}, "common"),
        ({"x": torch.ones(2, 3), "num_samples": 0}, "num_samples is at least 1, got 0"),
        ({"x": torch.ones(2, 3), "max_bytes": 0}, "max_bytes is at least 1, got 0"),
    ],
)
def test_bad_arguments_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        predict(line, line_guide, **arguments)


def test_examples_come_first() -> None:
    def model(x: Tensor) -> None:
        pyro.sample("y", Uniform(torch.zeros(4, len(x)), 1.0))

    with pytest.raises(ValueError, match="'y' has one row per input"):
        predict(model, lambda x: None, torch.ones(3), 2)
