"""The ArviZ result of a trained network: its content, and ArviZ's own tools on it."""

import sys
import warnings
from collections.abc import Iterator
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pyro
import pytest
import torch
from pyro import poutine
from pyro.distributions import Normal
from pyro.infer.autoguide import AutoNormal
from torch import Tensor, nn

from pyro_sparse.distributions import LogUniform
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import TraceSparse_ELBO, fit
from pyro_sparse.inspect import gate_table, load_arviz, save_arviz, to_arviz
from pyro_sparse.nn import Classifier, Regressor, bayesianize
from tests.common import assert_mean
from tests.inspect.conftest import Trained

TREES = sys.version_info >= (3, 12)


@pytest.fixture(scope="module")
def result(trained: Trained) -> Any:
    return to_arviz(
        trained.model,
        trained.guide,
        trained.x,
        trained.y,
        num_samples=400,
        history=trained.history,
        attrs={"seed": 5, "note": None},
    )


@pytest.fixture
def az() -> Iterator[Any]:
    """ArviZ, whose own warnings are not ours to heed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import arviz

        yield arviz


def groups(result: Any) -> set[str]:
    return set(result.children) if TREES else set(result.groups())


def line(x: Tensor, y: Tensor | None = None) -> None:
    slope = pyro.sample("slope", Normal(torch.zeros(2), 1.0).to_event(1))
    with pyro.plate("data", len(x)):
        pyro.sample("y", Normal(x @ slope, 0.5), obs=y)


def line_guide(x: Tensor, y: Tensor | None = None) -> None:
    pyro.sample("slope", Normal(torch.ones(2), 0.1).to_event(1))


def test_groups_have_named_dimensions(result: Any) -> None:
    assert groups(result) == {
        "constant_data",
        "log_likelihood",
        "observed_data",
        "posterior",
        "posterior_predictive",
        "sample_stats",
        "training",
    }
    assert result["posterior"]["fc1.gate"].dims == ("chain", "draw", "fc1.group")
    assert dict(result["posterior"].sizes) == {
        "chain": 1,
        "draw": 400,
        "fc1.group": 6,
        "fc2.group": 8,
    }
    for group in ("log_likelihood", "posterior_predictive"):
        assert result[group]["obs"].dims == ("chain", "draw", "data")
    assert result["sample_stats"]["lp"].dims == ("chain", "draw")


def test_weights_stay_out_unless_asked_for(trained: Trained, result: Any) -> None:
    assert set(result["posterior"].data_vars) == {"fc1.gate", "fc2.gate"}

    found = to_arviz(trained.model, trained.guide, trained.x, num_samples=2, weights=True)
    assert found["posterior"]["fc1.weight"].dims == ("chain", "draw", "fc1.out", "fc1.in")


def test_draws_follow_the_laws(trained: Trained, result: Any) -> None:
    for site in ("fc1.gate", "fc2.gate"):
        law: Any = trained.guide.laws()[site].law
        draws = torch.tensor(result["posterior"][site].values[0]).double()
        analytic = torch.tensor(result["constant_data"][f"{site}.prob_active"].values).double()

        z = (draws.mean(0) - law.mean.double()).abs() / (draws.std(0) + 1e-9) * 400**0.5
        sure = (draws.std(0) < 1e-6) & ((draws.mean(0) - law.mean).abs() < 0.05)
        assert ((z < 5.5) | sure).all()

        active = (draws != 0).double().sum(0)
        tails = torch.tensor(
            [_binomial_p(int(k), 400, float(p)) for k, p in zip(active, analytic, strict=True)]
        )
        assert tails.min() * len(tails) > 2e-5


def _binomial_p(count: int, size: int, prob: float) -> float:
    """Two-sided p value of a number of successes."""
    scipy = pytest.importorskip("scipy.stats")
    return float(scipy.binomtest(count, size, prob).pvalue)


def test_constants_are_the_table_of_gates(trained: Trained, result: Any) -> None:
    table = gate_table(trained.guide)

    for site, rows in table.groupby("site"):
        for column in ("prob_active", "log_alpha", "deterministic", "keep"):
            values = result["constant_data"][f"{site}.{column}"].values
            assert np.array_equal(values, rows[column].to_numpy().astype(values.dtype))


def test_likelihood_and_predictive_are_of_the_same_network() -> None:
    x = torch.randn(4, 2)
    y = torch.zeros(4)

    found = to_arviz(line, line_guide, x, y, num_samples=300)

    slope = torch.tensor(found["posterior"]["slope"].values[0])
    expected = Normal(slope @ x.T, 0.5).log_prob(y).numpy()
    assert np.allclose(found["log_likelihood"]["y"].values[0], expected, atol=1e-5)
    assert np.array_equal(found["observed_data"]["y"].values, y.numpy())

    residual = torch.tensor(found["posterior_predictive"]["y"].values[0]) - slope @ x.T
    assert_mean(residual.double(), 0.0)
    assert_mean(residual.double().square(), 0.25)


def test_log_p_and_log_q_estimate_the_bound(trained: Trained, result: Any) -> None:
    stats = result["sample_stats"]
    elbo = TraceSparse_ELBO()
    bound = [-elbo.loss(trained.model, trained.guide, trained.x, trained.y) for _ in range(400)]

    gap = torch.tensor((stats["lp"] - stats["log_q"]).values[0]) - torch.stack(bound)
    assert_mean(gap.double(), 0.0)


def test_history_and_attributes(trained: Trained, result: Any) -> None:
    assert result["training"]["loss"].values.tolist() == pytest.approx(trained.history["loss"])
    assert result["training"]["epoch"].values.tolist() == trained.history["epoch"]

    wanted = {"inference_library": "pyro_sparse", "guide": "AutoSparse", "seed": 5}
    assert wanted.items() <= result.attrs.items()
    assert result.attrs["criterion"] == "auto"


def test_thinning_keeps_the_number_of_the_draw(trained: Trained) -> None:
    found = to_arviz(trained.model, trained.guide, trained.x, num_samples=10, thin=4)

    assert found["posterior"]["draw"].values.tolist() == [0, 4, 8]
    assert found["posterior_predictive"]["draw"].values.tolist() == list(range(10))


def test_without_responses_there_is_no_likelihood(trained: Trained) -> None:
    found = to_arviz(trained.model, trained.guide, trained.x, num_samples=3)

    assert groups(found) == {"posterior", "posterior_predictive", "constant_data"}


def test_sites_and_labels_can_be_chosen(trained: Trained) -> None:
    names = list("abcdef")
    found = to_arviz(
        trained.model,
        trained.guide,
        trained.x,
        num_samples=3,
        sites="fc1.*",
        dims={"fc1.gate": ["feature"]},
        coords={"feature": names},
    )

    assert set(found["posterior"].data_vars) == {"fc1.gate", "fc1.weight"}
    assert found["posterior"]["feature"].values.tolist() == names
    assert found["constant_data"]["fc1.gate.keep"].dims == ("feature",)


def test_regression_has_weights_with_log_alpha() -> None:
    model = Regressor(bayesianize(nn.Linear(3, 2), weight=LogUniform()), 10)
    guide = AutoSparse(model)
    with torch.no_grad():
        for parameter in guide.parameters():
            parameter.add_(torch.randn_like(parameter))

    found = to_arviz(model, guide, torch.randn(5, 3), num_samples=3, weights=True)

    assert found["constant_data"]["weight.log_alpha"].dims == ("weight.out", "weight.in")
    assert found["posterior_predictive"]["obs"].dims == ("chain", "draw", "data", "obs_dim_1")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_files_hold_everything(result: Any, tmp_path: Any, suffix: str) -> None:
    found = load_arviz(save_arviz(result, tmp_path / f"draws{suffix}"))

    assert groups(found) == groups(result)
    for group in groups(result):
        for name, values in result[group].data_vars.items():
            assert np.array_equal(found[group][name].values, values.values), (group, name)
            assert found[group][name].dims == values.dims


@pytest.mark.parametrize("how", ["handler", "law"])
def test_hidden_data_have_no_likelihood(how: str) -> None:
    seen: Any = torch.tensor([True, False, True, True])

    def model(x: Tensor, y: Tensor) -> None:
        slope = pyro.sample("slope", Normal(torch.zeros(2), 1.0).to_event(1))
        law = Normal(x @ slope, 0.5)
        with pyro.plate("data", 4), poutine.mask(mask=seen if how == "handler" else True):
            pyro.sample("y", law if how == "handler" else law.mask(seen), obs=y)

    found = to_arviz(model, line_guide, torch.randn(4, 2), torch.zeros(4), num_samples=5)

    likelihood = found["log_likelihood"]["y"].values[0]
    assert np.abs(likelihood[:, 1]).max() < 1e-9 < np.abs(likelihood[:, 0]).min()
    prior = Normal(0.0, 1.0).log_prob(torch.tensor(found["posterior"]["slope"].values[0])).sum(1)
    assert np.allclose(found["sample_stats"]["lp"].values[0], likelihood.sum(1) + prior.numpy())


def test_terms_without_data_are_no_outcomes() -> None:
    def model(x: Tensor, y: Tensor) -> None:
        pyro.factor("term", -x.square().sum())
        line(x, y)

    found = to_arviz(model, line_guide, torch.randn(4, 2), torch.zeros(4), num_samples=2)

    for group in ("posterior_predictive", "log_likelihood", "observed_data"):
        assert set(found[group].data_vars) == {"y"}


def test_weights_of_every_layout_and_the_history_of_a_training() -> None:
    class Up(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up = nn.ConvTranspose2d(2, 5, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.up(x).mean((2, 3))

    net = bayesianize(Up(), weight=Normal(0.0, 1.0), bias=Normal(0.0, 1.0))
    model = Classifier(net, num_data=8)
    guide, data = AutoSparse(model), (torch.randn(8, 2, 4, 4), torch.arange(8) % 5)
    training = fit(model, guide, data, epochs=2, progress=False)

    found = to_arviz(model, guide, *data, num_samples=2, weights=True, history=training)

    sizes = {"up.in": 2, "up.out": 5, "up.kernel_0": 3, "up.kernel_1": 3}
    assert sizes.items() <= dict(found["posterior"].sizes).items()
    assert found["training"]["loss"].values.tolist() == training.history["loss"].tolist()
    assert found["training"]["epoch"].values.tolist() == [1, 2]


def test_summary_works(result: Any, az: Any) -> None:
    table = az.summary(result, var_names=["fc1.gate"])

    means = result["posterior"]["fc1.gate"].values[0].mean(0)
    assert list(table.index) == [f"fc1.gate[{i}]" for i in range(6)]
    assert np.allclose(table["mean"].astype(float), means, atol=0.02)


def test_a_gate_that_never_moves_can_be_summarised(az: Any) -> None:
    def guide(x: Tensor) -> None:
        pyro.sample("slope", pyro.distributions.Delta(torch.ones(2)).to_event(1))

    found = to_arviz(line, guide, torch.randn(4, 2), num_samples=20)

    assert az.summary(found)["mean"].astype(float).tolist() == [1, 1]


def test_loo_and_compare_work_for_dense_and_sparse(trained: Trained, az: Any) -> None:
    torch.manual_seed(1)
    dense = Classifier(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2)), 60)

    def constant(x: Tensor, y: Tensor | None = None) -> None:
        """A point network has nothing to draw; ArviZ asks for a posterior all the same."""
        pyro.sample("nothing", Normal(0.0, 1.0), infer={"is_auxiliary": True})

    results = {
        "dense": to_arviz(dense, constant, trained.x, trained.y, num_samples=100),
        "sparse": to_arviz(trained.model, trained.guide, trained.x, trained.y, num_samples=100),
    }

    table = az.compare(results)
    assert next(iter(table.index)) == "sparse"

    found = az.loo(results["sparse"])
    column = "elpd" if TREES else "elpd_loo"
    assert -60 < float(getattr(found, column)) < 0


def test_plots_work(result: Any, az: Any) -> None:
    try:
        az.plot_forest(result, var_names=["fc1.gate"], combined=True)
        if TREES:
            az.plot_dist(result, var_names=["fc1.gate"])
            az.plot_ppc_dist(result)
        else:
            az.plot_density(result, var_names=["fc1.gate"])
            az.plot_ppc(result, num_pp_samples=20)
    finally:
        plt.close("all")


def test_no_warnings_of_its_own(trained: Trained) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        to_arviz(trained.model, trained.guide, trained.x, trained.y, num_samples=2)


def test_a_model_without_gates(trained: Trained) -> None:
    model = Classifier(bayesianize(nn.Linear(6, 2), weight=LogUniform()), 60)
    guide = AutoSparse(model)
    with torch.no_grad():
        for parameter in guide.parameters():
            parameter.add_(torch.randn_like(parameter))

    with pytest.raises(ValueError, match=r"no gates: all its sites, \['weight'\].*weights=True"):
        to_arviz(model, guide, trained.x, trained.y)


def test_guides_that_were_never_trained(trained: Trained) -> None:
    fresh = AutoSparse(trained.model)
    with pytest.raises(ValueError, match="never trained"):
        to_arviz(trained.model, fresh, trained.x, trained.y)

    with pytest.raises(ValueError, match=r"never trained: it made its parameters .* only now"):
        to_arviz(line, AutoNormal(line), torch.randn(4, 2), torch.zeros(4))


@pytest.mark.parametrize("sites", ["fc9.*", ["fc1.gate", "fc9.gate"], []])
def test_filters_that_match_nothing(trained: Trained, sites: Any) -> None:
    with pytest.raises(ValueError, match="Each entry of sites matches a site"):
        to_arviz(trained.model, trained.guide, trained.x, trained.y, sites=sites)


def test_draws_that_are_not_finite() -> None:
    def guide(x: Tensor) -> None:
        loc = torch.tensor([0.0, float("inf")])
        pyro.sample("slope", Normal(loc, 1.0, validate_args=False).to_event(1))

    with pytest.raises(ValueError, match="1 of 2 entries of 'slope'"):
        to_arviz(line, guide, torch.randn(4, 2))


@pytest.mark.parametrize("name", ["num_samples", "thin"])
def test_counts_are_positive(trained: Trained, name: str) -> None:
    arguments: dict[str, Any] = {name: 0}
    with pytest.raises(ValueError, match=f"{name} is at least 1, got 0"):
        to_arviz(trained.model, trained.guide, trained.x, **arguments)


def test_a_history_has_one_length(trained: Trained) -> None:
    with pytest.raises(ValueError, match=r"lengths are {'a': 1, 'b': 2}"):
        to_arviz(
            trained.model,
            trained.guide,
            trained.x,
            num_samples=1,
            history={"a": [1.0], "b": [1.0, 2.0]},
        )


def test_without_arviz_the_extra_is_named(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "arviz", None)

    with pytest.raises(ImportError, match=r"pip install 'pyro-sparse\[arviz\]'"):
        to_arviz(trained.model, trained.guide, trained.x, num_samples=1)
