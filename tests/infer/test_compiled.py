"""The compiled bound: the same numbers as the eager one, and never stale."""

import copy
import shutil
import warnings
from collections.abc import Callable
from typing import Any

import pyro
import pytest
import torch
from pyro.distributions import Categorical, Normal
from pyro.optim import PyroOptim
from torch import Tensor, nn

from pyro_sparse import Local
from pyro_sparse.distributions import L0, L2, HardConcrete, LogUniform
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import CompileWarning, TraceSparse_ELBO, UntraceableError
from pyro_sparse.nn import Classifier, bayesianize

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")

X, Y = torch.randn(8, 6), torch.randint(3, (8,))


def network(**priors: Any) -> Classifier:
    net = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 3))
    return Classifier(bayesianize(net, **(priors or {"weight": LogUniform()})), num_data=80)


def losses(elbo: TraceSparse_ELBO, model: nn.Module, guide: nn.Module, steps: int) -> list[float]:
    model, guide = copy.deepcopy((model, guide))
    bound = elbo(model, guide)
    optimizer = torch.optim.SGD(bound.parameters(), 1e-3)
    torch.manual_seed(1)
    seen = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = bound(X, Y)
        loss.backward()
        optimizer.step()
        seen.append(loss.item())
    return seen


def agree(model: nn.Module, **options: Any) -> None:
    guide = AutoSparse(model)
    eager = losses(TraceSparse_ELBO(), model, guide, 4)
    ours = losses(TraceSparse_ELBO(compile=True, **options), model, guide, 4)
    assert ours == pytest.approx(eager, rel=1e-5)


PRIORS = {
    "variational dropout": {"weight": LogUniform()},
    "gates": {"gate": L0(0.1)},
    "gated weights": {"gate": L0(0.1), "weight": Normal(0.0, 1.0), "bias": Normal(0.0, 1.0)},
    "point weights": {"gate": L0(0.1), "weight": L2(0.1), "gate_dim": "out"},
    "weight gates": {"gate": L0(0.1), "gate_dim": "weight"},
}


@pytest.mark.parametrize("gradients", ["joint", "loss"])
@pytest.mark.parametrize("priors", PRIORS.values(), ids=PRIORS.keys())
def test_captured_training_is_eager_training(
    priors: dict[str, Any], gradients: str, captured: list
) -> None:
    agree(network(**priors), gradients=gradients)
    assert len(captured) == 1


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("gradients", ["joint", "loss"])
def test_compiled_training_is_eager_training(gradients: str) -> None:
    net = bayesianize(nn.Linear(6, 3), weight=LogUniform(), gate=L0(0.1))
    agree(Classifier(net, num_data=80), gradients=gradients)


@needs_compiler
@pytest.mark.slow
def test_noise_is_fresh_in_each_call() -> None:
    model = Classifier(bayesianize(nn.Linear(6, 3), weight=LogUniform()), num_data=80)
    guide = AutoSparse(model, init_scale=1.0)
    elbo = TraceSparse_ELBO(compile=True)
    with torch.no_grad():
        values = {elbo.differentiable_loss(model, guide, X, Y).item() for _ in range(6)}
    assert len(values) == 6


def test_particles_and_parts(captured: list) -> None:
    model = network(weight=LogUniform(), gate=L0(0.1))
    guide = AutoSparse(model)
    elbo = TraceSparse_ELBO(compile=True, num_particles=3)
    for _ in range(3):
        loss = elbo.differentiable_loss(model, guide, X, Y)
    assert elbo.parts is not None
    total = sum(elbo.parts.kl.values()) - elbo.parts.log_likelihood
    assert loss.item() == pytest.approx(total.item(), rel=1e-5)
    assert set(elbo.parts.noise.values()) == {"local", "per example (8)"}


def test_the_weight_of_the_divergences_is_an_input(captured: list) -> None:
    model = network()
    guide = AutoSparse(model)
    elbo = TraceSparse_ELBO(compile=True, kl_weight=lambda step: step / 10)
    for step in range(5):
        loss = elbo.differentiable_loss(model, guide, X, Y)
        assert elbo.parts is not None
        expected = step / 10 * sum(elbo.parts.kl.values()) - elbo.parts.log_likelihood
        assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert len(captured) == 1


class Scaled(nn.Module):
    """A model with every kind of state that a graph could hold fast."""

    buffer: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.number = 1.0
        self.tensor = torch.tensor(1.0)
        self.settings = {"shift": 0.0}
        self.register_buffer("buffer", torch.tensor(1.0))

    def forward(self, x: Tensor) -> None:
        w = pyro.sample("w", Normal(torch.zeros(3, 6), 1.0).to_event(2))
        scale = self.number * self.tensor * self.buffer * (2.0 if self.training else 1.0)
        logits = scale * nn.functional.linear(x, w) + self.settings["shift"] * torch.arange(3)
        with pyro.plate("data", len(x)):
            pyro.sample("y", Categorical(logits=logits), obs=Y[: len(x)])


def point_guide(x: Tensor) -> None:
    loc = pyro.param("loc", torch.linspace(-1, 1, 18).reshape(3, 6))
    pyro.sample("w", Local(Normal(loc, 1e-6)).to_event(2))


def change_number(model: Scaled) -> None:
    model.number = 3.0


def rebind_tensor(model: Scaled) -> None:
    model.tensor = torch.tensor(3.0)


def change_tensor(model: Scaled) -> None:
    model.tensor.fill_(3.0)


def change_container(model: Scaled) -> None:
    model.settings["shift"] = 3.0


def load_buffer(model: Scaled) -> None:
    model.load_state_dict({"buffer": torch.tensor(3.0)})


def evaluation_mode(model: Scaled) -> None:
    model.eval()


def change_parameter(model: Scaled) -> None:
    pyro.param("loc").data.mul_(3.0)


def clear_the_store(model: Scaled) -> None:
    pyro.clear_param_store()
    pyro.param("loc", torch.linspace(-3, 3, 18).reshape(3, 6))


CHANGES = [
    change_number,
    rebind_tensor,
    change_tensor,
    change_container,
    load_buffer,
    evaluation_mode,
    change_parameter,
    clear_the_store,
]


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_is_never_stale(change: Callable[[Scaled], None], captured: list) -> None:
    model = Scaled()
    elbo = TraceSparse_ELBO(compile=True)
    before = [elbo.loss(model, point_guide, X).item() for _ in range(3)]
    assert len(captured) == 1

    change(model)
    after = [elbo.loss(model, point_guide, X).item() for _ in range(3)]
    expected = TraceSparse_ELBO().loss(model, point_guide, X).item()
    assert after == pytest.approx([expected] * 3, rel=1e-3)
    assert expected != pytest.approx(before[0], rel=1e-3)


def test_replaced_tensors_of_one_kind_need_no_new_graph(captured: list) -> None:
    model = Scaled()
    elbo = TraceSparse_ELBO(compile=True)
    for value in range(5):
        model.tensor = torch.tensor(float(value))
        elbo.loss(model, point_guide, X)
    for value in range(5):
        model.tensor = torch.tensor(float(value))
        loss = elbo.loss(model, point_guide, X)
    assert loss.item() == pytest.approx(
        TraceSparse_ELBO().loss(model, point_guide, X).item(), 1e-3
    )
    assert len(captured) <= 1


def test_what_changes_at_each_step_is_named(captured: list) -> None:
    model = Scaled()
    elbo = TraceSparse_ELBO(compile=True)
    with pytest.warns(CompileWarning, match=r"Scaled\.number"):
        for value in range(12):
            model.number = float(value)
            elbo.loss(model, point_guide, X)
    assert not captured


def test_a_shape_met_once_is_not_compiled(captured: list) -> None:
    model = network()
    guide = AutoSparse(model)
    elbo = TraceSparse_ELBO(compile=True)
    for _ in range(2):
        for size in (4, 4, 4, 3):
            elbo.differentiable_loss(model, guide, X[:size], Y[:size])
    assert len(captured) == 2  # four examples, and three when they came again


def test_capturing_leaves_no_trace(captured: list) -> None:
    model = network()
    model.train()
    guide = AutoSparse(model)
    elbo = TraceSparse_ELBO(compile=True)
    for _ in range(3):
        state = torch.get_rng_state()
        elbo.differentiable_loss(model, guide, X, Y)
    assert model.net.get_buffer("1.num_batches_tracked") == 3

    torch.set_rng_state(state)
    twin = copy.deepcopy((model, guide))
    eager = TraceSparse_ELBO().differentiable_loss(*twin, X, Y)
    torch.set_rng_state(state)
    assert elbo.differentiable_loss(model, guide, X, Y).item() == pytest.approx(eager.item(), 1e-5)
    mean, expected = (m.net.get_buffer("1.running_mean") for m in (model, twin[0]))
    assert mean.allclose(expected, atol=1e-6)
    assert all(type(tensor) is Tensor for tensor in pyro.get_param_store().values())


def test_svi_trains_the_compiled_bound(captured: list) -> None:
    model = network()
    guide = AutoSparse(model)
    before = {name: value.clone() for name, value in guide.state_dict().items()}
    optimizer = PyroOptim(torch.optim.Adam, {"lr": 0.01})
    svi = pyro.infer.SVI(model, guide, optimizer, TraceSparse_ELBO(compile=True))
    for _ in range(2):
        svi.step(X, Y)
    middle = copy.deepcopy(guide.state_dict())
    svi.step(X, Y)
    for name, value in guide.state_dict().items():
        assert not value.equal(middle[name]) and not value.equal(before[name])


@pytest.mark.parametrize("gradients", ["joint", "loss"])
def test_gradients_accumulate_and_scale(gradients: str, captured: list) -> None:
    model = network()
    guide = AutoSparse(model, init_scale=1e-6)
    bound = TraceSparse_ELBO(compile=True, gradients=gradients)(model, guide)
    for _ in range(3):
        bound.zero_grad()
        bound(X, Y).backward()
    once = [p.grad.clone() for p in bound.parameters() if p.grad is not None]

    bound.zero_grad()
    (2 * bound(X, Y)).backward()
    bound(X, Y).backward()
    thrice = [p.grad for p in bound.parameters() if p.grad is not None]
    for one, three in zip(once, thrice, strict=True):
        assert three.allclose(3 * one, rtol=1e-3, atol=1e-3 * float(one.abs().max() + 1))


def looks_at_a_value(x: Tensor) -> None:
    w = pyro.sample("w", Normal(torch.zeros(3, 6), 1.0).to_event(2))
    logits = nn.functional.linear(x, w)
    if logits.sum() > 0:
        logits = 2 * logits
    with pyro.plate("data", len(x)):
        pyro.sample("y", Categorical(logits=logits), obs=Y[: len(x)])


def counts_its_runs(x: Tensor) -> None:
    RUNS.append(len(RUNS))
    with pyro.plate("data", len(x)):
        w = pyro.sample("w", Normal(torch.zeros(3, 6), 1.0).to_event(2))
        pyro.sample("y", Categorical(logits=x @ w.T), obs=Y[: len(x)])


RUNS: list[int] = []


def test_what_cannot_be_captured_says_so(captured: list) -> None:
    elbo = TraceSparse_ELBO(compile=True)
    elbo.loss(looks_at_a_value, point_guide, X)
    with pytest.raises(UntraceableError, match="compile=False"):
        elbo.loss(looks_at_a_value, point_guide, X)


@pytest.mark.parametrize("look", [Tensor.item, float, bool, Tensor.tolist, Tensor.numpy])
def test_a_tensor_read_as_a_number_is_not_frozen(look: Callable, captured: list) -> None:
    """The graph would keep the number, and never notice that the tensor changes."""
    scale = torch.tensor(2.0)

    def model(x: Tensor) -> None:
        w = pyro.sample("w", Normal(torch.zeros(3, 6), 1.0).to_event(2))
        with pyro.plate("data", len(x)):
            pyro.sample("y", Categorical(logits=x @ w.T * float(look(scale))), obs=Y[: len(x)])

    elbo = TraceSparse_ELBO(compile=True)
    elbo.loss(model, point_guide, X)
    with pytest.raises(UntraceableError, match="read"):
        elbo.loss(model, point_guide, X)


def test_auto_stays_eager_with_one_warning(captured: list) -> None:
    elbo = TraceSparse_ELBO(compile="auto")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        values = [elbo.loss(looks_at_a_value, point_guide, X).item() for _ in range(4)]
    assert [w.category for w in caught] == [CompileWarning]
    assert max(values) - min(values) < 1e-2 * abs(values[0])


def test_without_a_compiler(captured: list, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    model, elbo = Scaled(), TraceSparse_ELBO(compile=True)
    elbo.loss(model, point_guide, X)
    with pytest.raises(UntraceableError, match=r"C\+\+ compiler"):
        elbo.loss(model, point_guide, X)


def test_a_changed_guide_law_is_seen(captured: list) -> None:
    """A temperature that falls from step to step is a buffer, hence an input."""
    model = network(gate=L0(0.1))
    guide = AutoSparse(model, gate=HardConcrete(temperature=0.9, logits=0.0))
    elbo = TraceSparse_ELBO(compile=True)
    buffers = [b for name, b in guide.named_buffers() if name.endswith("temperature")]
    seen = []
    for temperature in (0.9, 0.9, 0.9, 0.1):
        for buffer in buffers:
            buffer.fill_(temperature)
        elbo.differentiable_loss(model, guide, X, Y)
        assert elbo.parts is not None
        seen.append(float(sum(elbo.parts.kl.values())))
    assert len(captured) == 1
    assert seen[3] < seen[2] == pytest.approx(seen[0])


@pytest.mark.parametrize("options", [{"gradients": "all"}, {"mode": "fast"}, {"compile": "yes"}])
def test_bad_options(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is "):
        TraceSparse_ELBO(**({"compile": True} | options))
