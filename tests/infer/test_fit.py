"""Training by `fit`: the same as by hand, and everything beside it."""

import sys
import textwrap
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import Trace_ELBO
from pyro.infer.autoguide import AutoNormal
from torch import Tensor, nn
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, TensorDataset

from pyro_sparse.distributions import L0, GroupGaussianMixture, LogUniform
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import DivergedError, TraceSparse_ELBO, Training, fit, schedules
from pyro_sparse.infer.batches import TensorBatches
from pyro_sparse.infer.facts import at_the_mean
from pyro_sparse.nn import Classifier, Regressor, bayesianize
from tests.infer.programs import data, program, train

X, Y = data()


def test_the_lines_of_the_docstring_give_the_same_numbers() -> None:
    """They are run as they stand, on batches in the order that `fit` took."""

    def programs() -> tuple[Classifier, AutoSparse]:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
        model = Classifier(bayesianize(net, gate=L0(0.1), weight=LogUniform()), num_data=300)
        return model, AutoSparse(model)

    x, y = data(300)
    training = fit(*programs(), (x, y), epochs=3, seed=3, progress=False)
    positions = TensorBatches(torch.arange(300), 300, seed=training.seed)
    orders = [order for epoch in (1, 2, 3) for (order,), _ in positions.epoch(epoch)]

    told = (fit.__doc__ or "").split("code-block:: python")[1].split("and beside it")[0]
    lines = textwrap.dedent(told.strip("\n"))
    assert 10 <= len(lines.strip().splitlines()) <= 13
    model, guide = programs()
    ordered = SimpleNamespace(randperm=lambda count: orders.pop(0))
    known = {"model": model, "guide": guide, "x": x, "y": y, "epochs": 3, "steps": 9}
    known |= {"TraceSparse_ELBO": TraceSparse_ELBO, "linear": schedules.linear, "torch": ordered}
    known |= {"Adam": torch.optim.Adam, "LambdaLR": torch.optim.lr_scheduler.LambdaLR}
    pyro.set_rng_seed(3)
    exec(lines, known)

    parameters = [*model.parameters(), *guide.parameters()]
    for one, other in zip(training.programs.parameters(), parameters, strict=True):
        assert torch.equal(one, other)


def test_it_is_the_loop_by_hand() -> None:
    """With EM steps, too."""
    model, guide = program()
    training = train(model, guide, seed=3, epochs=3)

    by_hand, its_guide = program()
    pyro.set_rng_seed(3)
    steps, batches = 9, training.batches
    weight = schedules.linear(0.0, 1.0, steps=0.1 * steps)
    bound = TraceSparse_ELBO(kl_weight=weight)(by_hand, its_guide)
    named = dict(bound.named_parameters())
    gates = [p for name, p in named.items() if ".gate." in name]
    weights = [p for name, p in named.items() if ".gate." not in name]
    groups: list[Any] = [{"params": weights, "lr": 1e-2}, {"params": gates, "lr": 5e-2}]
    optimizer = torch.optim.Adam(groups)
    decay = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, 2 - 2 * step / steps))
    for epoch in range(1, 4):
        for (x, y), _ in batches.epoch(epoch):
            optimizer.zero_grad()
            (bound(x, y) / len(X)).backward()
            optimizer.step()
            decay.step()
        for site, prior in its_guide.priors().items():
            if isinstance(prior, GroupGaussianMixture):
                prior.em_step(its_guide.laws()[site])

    for one, other in zip(training.programs.parameters(), bound.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_it_learns_and_says_so() -> None:
    training = train(*program(), epochs=40, lr=5e-2, validation=data(), em=False)

    first, last = training.rows[0], training.rows[-1]
    assert last["validation_error"] < 0.2 < 0.3 < first["validation_error"]
    assert last["validation_nll"] < first["validation_nll"]
    assert 0 < last["alive"] <= 1
    assert last["kl_weight"] == 1.0 and last["lr"] < first["lr"] == 5e-2
    assert (training.epoch, training.step, training.stopped) == (40, 120, None)


def test_the_parts_add_up() -> None:
    training = train(*program(), epochs=3, batch_size=90, warm_up=None)
    row = training.row

    assert row["loss"] == pytest.approx(row["nll"] + row["kl"], rel=1e-5)


def test_the_history_is_a_frame() -> None:
    training = train(*program(), epochs=2)

    assert training.history["epoch"].tolist() == [1, 2]
    assert set(training.history.columns) == set(training.row)


def test_a_missing_pandas_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    training = train(*program(), epochs=1)
    monkeypatch.setitem(sys.modules, "pandas", None)

    with pytest.raises(ImportError, match=r"pyro-sparse\[arviz\]"):
        _ = training.history


def test_loaders_and_tensors_train_alike() -> None:
    """On one batch an epoch, in which the order does not matter."""
    tensors = train(*program(), batch_size=90)
    loader = DataLoader(TensorDataset(X, Y), batch_size=90)
    loaded = train(*program(), loader)
    pairs: Any = [{"x": x, "y": y} for x, y in zip(X, Y, strict=True)]
    named: Any = DataLoader(pairs, batch_size=90)
    by_name = train(*program(), named)

    for other in (loaded, by_name):
        assert other.row["loss"] == pytest.approx(tensors.row["loss"], rel=0.05)


class Stream(torch.utils.data.IterableDataset):
    def __iter__(self) -> Any:
        return iter(zip(X, Y, strict=True))


def test_a_stream_of_unknown_length() -> None:
    loader = DataLoader(Stream(), batch_size=32)

    training = train(*program(), loader, warm_up=None, scheduler=None)

    assert training.step == 12
    for setting in ("warm_up", "scheduler"):
        with pytest.raises(ValueError, match="the data does not know its"):
            train(*program(), loader, **{setting: None})


def test_programs_by_hand_with_stored_parameters() -> None:
    def model(x: Tensor, y: Tensor) -> None:
        slope = pyro.sample("slope", dist.Normal(0.0, 1.0))
        with pyro.plate("data", len(x)):
            pyro.sample("obs", dist.Normal(slope * x, 0.1), obs=y)

    def guide(x: Tensor, y: Tensor) -> None:
        scale = pyro.param("scale", torch.tensor(0.1), constraint=dist.constraints.positive)
        pyro.sample("slope", dist.Normal(pyro.param("loc", torch.tensor(0.0)), scale))

    x = torch.randn(60)
    training = train(model, guide, (x, 2 * x), batch_size=60, epochs=300, lr=2e-2)

    assert pyro.param("loc").item() == pytest.approx(2.0, abs=0.1)
    assert set(training.parameters) == {"loc", "scale"}


def test_pyro_s_own_guides_and_bounds() -> None:
    def model(x: Tensor, y: Tensor) -> None:
        slope = pyro.sample("slope", dist.Normal(0.0, 1.0))
        with pyro.plate("data", len(x)):
            pyro.sample("obs", dist.Normal(slope * x, 0.1), obs=y)

    x = torch.randn(60)
    guide = AutoNormal(model)
    training = train(
        model, guide, (x, 2 * x), batch_size=60, epochs=300, lr=2e-2, elbo=Trace_ELBO()
    )

    assert guide.median()["slope"].item() == pytest.approx(2.0, abs=0.1)
    assert training.row["kl"] is None and training.row["loss"] == training.row["nll"]


def test_regression_reports_its_error() -> None:
    model = Regressor(bayesianize(nn.Linear(4, 1), weight=LogUniform()), num_data=90)
    y = X.sum(1, keepdim=True)
    training = train(model, AutoSparse(model), (X, y), validation=(X, y), epochs=60, lr=5e-2)

    assert training.row["validation_rmse"] < 0.3


def test_callbacks_add_to_the_history_and_stop() -> None:
    def look(training: Training) -> dict[str, Any]:
        if training.epoch == 3:
            training.stop("enough")
        numbers = {"tensor": torch.tensor(1.5), "array": np.float32(0.5)}
        return {"twice": 2 * training.row["epoch"], **numbers}

    training = train(*program(), epochs=10, callbacks=[look])

    assert training.stopped == "enough" and training.epoch == 3
    assert [row["twice"] for row in training.rows] == [2, 4, 6]
    assert training.row["tensor"] == 1.5 and training.row["array"] == 0.5


def test_patience() -> None:
    training = train(*program(), epochs=50, lr=0.0, gate_lr=0.0, patience=3)

    assert training.epoch < 50 and training.stopped == "no better loss in 3 epochs"


def test_patience_does_not_count_the_warm_up() -> None:
    training = train(
        *program(), epochs=12, lr=0.0, gate_lr=0.0, patience=2, warm_up=(0.0, 0.5), batch_size=90
    )

    assert training.epoch > 6


def test_the_rates_of_a_row_are_those_of_its_last_step() -> None:
    rows = train(*program(), epochs=4, lr=1.0).rows

    # They fall from the middle of twelve steps on, and would be 0 in the thirteenth.
    assert [row["lr"] for row in rows] == pytest.approx([1.0, 1.0, 4 / 6, 1 / 6])
    assert [row["gate_lr"] for row in rows] == pytest.approx([r["lr"] / 20 for r in rows])


def test_the_loss_of_batches_in_a_list_is_per_example() -> None:
    def model(x: Tensor, y: Tensor) -> None:
        slope = pyro.sample("slope", dist.Normal(0.0, 1.0))
        with pyro.plate("data", 90, subsample=x):
            pyro.sample("obs", dist.Normal(slope * x[:, 0], 1.0), obs=y.float())

    def guide(x: Tensor, y: Tensor) -> None:
        pyro.sample("slope", dist.Normal(pyro.param("loc", torch.tensor(0.0)), 1e-3))

    together = train(model, guide, (X, Y), batch_size=90, lr=0.0)
    listed = train(model, guide, [(X[:50], Y[:50]), (X[50:], Y[50:])], lr=0.0)

    assert listed.scale == 90
    assert listed.row["nll"] == pytest.approx(together.row["nll"], rel=0.2)


def test_validation_takes_no_random_numbers() -> None:
    plain, validated = train(*program()), train(*program(), validation=(X, Y))

    assert [r["loss"] for r in validated.rows] == [r["loss"] for r in plain.rows]


@pytest.mark.parametrize(
    "validation, error, message",
    [
        (X, ValueError, r"it observes nothing.*validation=\(x, y\)"),
        ([], ValueError, "Validation needs at least one batch"),
        ("x", TypeError, "got str"),
    ],
)
def test_validation_that_scores_nothing_is_found_out_at_once(
    validation: Any, error: type[Exception], message: str
) -> None:
    model, guide = program()
    before = [p.clone() for p in guide.parameters()]

    with pytest.raises(error, match=message):
        train(model, guide, validation=validation)
    assert all(map(torch.equal, before, guide.parameters()))


def test_a_moving_average() -> None:
    model, guide = program()
    training = train(model, guide, ema=0.5)
    assert training.averaged is not None
    averaged, its_guide = training.averaged

    now, mean = (dict(g.named_parameters()) for g in (guide, its_guide))
    assert any(not torch.equal(now[name], mean[name]) for name in now)
    assert at_the_mean(averaged, its_guide, [((X, Y), {})]).keys() == {"nll", "error"}
    # Its guide reads the priors of its own model.
    assert its_guide.priors()["0.weight"] is not guide.priors()["0.weight"]


def test_em_steps_are_made_unless_unwanted() -> None:
    def prior(em: bool) -> Tensor:
        model, guide = program()
        train(model, guide, em=em)
        return guide.priors()["0.weight"].scale2

    assert prior(em=False).item() == pytest.approx(0.1)
    assert prior(em=True).item() != pytest.approx(0.1)


def test_a_clipped_gradient_moves_less() -> None:
    def moved(clip: float | None) -> float:
        model, guide = program()
        before = guide.get_parameter("sites.0.weight.loc").clone()
        train(model, guide, epochs=1, clip=clip, optimizer=torch.optim.SGD, lr=1.0, gate_lr=1.0)
        return (guide.get_parameter("sites.0.weight.loc") - before).norm().item()

    assert moved(1e-3) < 3 * 1e-3 < moved(None)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_mixed_precision(kind: torch.dtype) -> None:
    training = train(*program(), autocast=kind, epochs=20, lr=5e-2, validation=data(), em=False)

    assert training.scaler.is_enabled() == (kind == torch.float16)
    assert training.row["validation_nll"] < training.rows[0]["validation_nll"]
    assert all(p.dtype == torch.float32 for p in training.parameters.values())


def test_a_loss_that_is_no_number_stops_and_names_the_site(tmp_path: Any) -> None:
    path = tmp_path / "training.pt"

    def spoil(training: Training) -> None:
        if training.epoch == 2:
            with torch.no_grad():
                training.parameters["guide.sites.0.weight.loc"].fill_(float("nan"))

    model, guide = program()
    with pytest.raises(DivergedError) as caught:
        train(model, guide, callbacks=[spoil], checkpoint=path, em=False)

    text = str(caught.value)
    assert "step 7, in epoch 3" in text
    assert "guide.sites.0.weight.loc" in text and str(path) in text
    resumed = train(*program(), checkpoint=path, resume=True, em=False)
    assert resumed.epoch == 4


def test_the_parameters_are_those_before_the_bad_loss() -> None:
    model, guide = program()
    x = X.clone()
    x[5] = torch.nan

    with pytest.raises(DivergedError, match="not finite are the data of this batch"):
        train(model, guide, (x, Y))

    assert all(p.isfinite().all() for p in guide.parameters())


def test_another_number_of_examples_is_a_warning() -> None:
    with pytest.warns(UserWarning, match="num_data=90 examples and is trained on 60"):
        train(*program(), (X[:60], Y[:60]), epochs=1)


def of_all(kind: Any) -> Any:
    """A maker of optimisers that take no groups."""
    return lambda groups: kind([p for group in groups for p in group["params"]])


@pytest.mark.parametrize(
    "changed, error, message",
    [
        ({"epochs": 0}, ValueError, "epochs is a whole number"),
        ({"epochs": 1.5}, ValueError, "epochs is a whole number"),
        ({"lr": -1.0}, ValueError, "lr is finite and not negative"),
        ({"gate_lr": float("nan")}, ValueError, "gate_lr is finite"),
        ({"clip": -1.0}, ValueError, "clip is finite"),
        ({"ema": 1.0}, ValueError, "ema is a rate between 0 and 1"),
        ({"patience": 0}, ValueError, "patience is a whole number"),
        ({"every": -1.0}, ValueError, "every is finite"),
        ({"autocast": torch.float64}, ValueError, "autocast is"),
        ({"warm_up": (0.5, 0.1)}, ValueError, "0 <= begin <= end <= 1"),
        ({"kl_weight": -1.0}, ValueError, "kl_weight is finite"),
        ({"elbo": 3}, TypeError, "got int"),
        (
            {"elbo": TraceSparse_ELBO(), "kl_weight": 0.5},
            ValueError,
            "a kl_weight and a compile of its own",
        ),
        ({"elbo": TraceSparse_ELBO(), "compile": True}, ValueError, "a compile of its own"),
        ({"compile": "always"}, ValueError, "compile is False, True or 'auto', got 'always'"),
        ({"scheduler": "slow"}, TypeError, "The scheduler is"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"resume": True, "checkpoint": None}, ValueError, "resume=True continues"),
        ({"callbacks": [lambda training: {"list": []}]}, TypeError, "under 'list'"),
        ({"callbacks": [lambda training: [1]]}, TypeError, "one returned a list"),
        ({"callbacks": lambda training: None}, TypeError, r"callbacks=\[look\], got <function"),
        ({"warm_up": 0.1}, ValueError, r"such as \(0\.0, 0\.1\), got 0\.1"),
        ({"lr": "a"}, ValueError, "lr is finite and not negative, got 'a'"),
        ({"kl_weight": None}, ValueError, "or a function of the step, got None"),
        ({"resume": None}, TypeError, "path of a checkpoint, got None"),
        ({"optimizer": of_all(torch.optim.LBFGS)}, TypeError, "LBFGS evaluates the loss again"),
        ({"scheduler": StepLR}, TypeError, r"partial\(StepLR, step_size=100\), got <class"),
    ],
)
def test_bad_settings(changed: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        train(*program(), **changed)


def test_nothing_to_train() -> None:
    model = Classifier(bayesianize(nn.Linear(4, 3), weight=LogUniform()), num_data=90)
    guide = AutoSparse(model)
    for parameter in [*guide.parameters(), *model.parameters()]:
        parameter.requires_grad_(False)

    with pytest.raises(ValueError, match="Neither the model nor the guide"):
        fit(model, guide, (X, Y), epochs=1, progress=False)
