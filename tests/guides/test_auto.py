"""Guides made from priors: parameters at once, checkpoints, programs of the user's own."""

import copy
import io
import pickle
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import SVI
from pyro.optim import ClippedAdam
from torch import Tensor, nn
from torch.distributions import kl_divergence

from pyro_sparse import Local
from pyro_sparse.distributions import L0, EmpiricalNormal, HardConcrete, LogUniform
from pyro_sparse.guides import AutoSparse, NormalFamily
from pyro_sparse.infer import TraceSparse_ELBO
from pyro_sparse.local import Deferred, peel
from pyro_sparse.nn import Classifier, Regressor, bayesianize
from pyro_sparse.prior import Prior

X, LABELS = torch.randn(6, 4), torch.tensor([0, 2, 1, 1, 0, 2])


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3))


def classifier(**laws: Any) -> Classifier:
    laws = laws or {"weight": LogUniform(), "gate": L0(1.0)}
    return Classifier(bayesianize(net(), **laws), num_data=60)


def sampled(guide: Callable) -> dict[str, Any]:
    with poutine.block():
        return guide(X, LABELS)


def test_parameters_exist_from_the_start_under_the_names_of_the_sites() -> None:
    guide = AutoSparse(classifier())

    assert [name for name, _ in guide.named_parameters()] == [
        "sites.0.gate.base__logits",
        "sites.0.weight.loc",
        "sites.0.weight.log_variance",
        "sites.3.gate.base__logits",
        "sites.3.weight.loc",
        "sites.3.weight.log_variance",
    ]


def test_every_site_is_sampled_in_the_shape_of_the_model() -> None:
    model = classifier()
    guide = AutoSparse(model)

    with poutine.block():
        guide_trace = poutine.trace(guide).get_trace(X, LABELS)
        model_trace: Any = poutine.trace(poutine.replay(model, guide_trace)).get_trace(X, LABELS)

    sites: Any = guide_trace.nodes
    for name in guide.laws():
        assert sites[name]["fn"].event_shape == model_trace.nodes[name]["fn"].event_shape
        assert sites[name]["fn"].batch_shape == ()
    assert guide(X).keys() == guide.laws().keys()


def test_laws_are_elementwise_and_know_their_role() -> None:
    laws: Any = AutoSparse(classifier()).laws()

    assert laws["0.weight"].batch_shape == (5, 4) and laws["0.weight"].event_shape == ()
    assert {name: law.role for name, law in laws.items()} == {
        "0.gate": "gate",
        "0.weight": "weight",
        "3.gate": "gate",
        "3.weight": "weight",
    }


def test_priors_are_the_models_own() -> None:
    model = classifier(weight=dist.Normal(0.0, 1.0))
    guide = AutoSparse(model)

    model.net.get_buffer("0.priors.weight.scale").fill_(3.0)

    prior: Any = guide.priors()["0.weight"]
    assert prior.scale == 3.0 and prior.event_shape == ()


def test_weights_start_at_the_networks() -> None:
    original = net()
    guide = AutoSparse(bayesianize(original, weight=LogUniform()))

    torch.testing.assert_close(
        guide.get_parameter("sites.0.weight.loc"), original.get_parameter("0.weight")
    )


@pytest.mark.parametrize("example", [None, (X, LABELS)], ids=["walked", "traced"])
def test_a_checkpoint_loads_into_a_fresh_guide_that_was_never_called(example: Any) -> None:
    """Same laws, same samples, same loss."""
    model = classifier(weight=dist.Normal(0.0, 1.0), bias=LogUniform(), gate=L0(1.0))
    trained = AutoSparse(model, example=example)
    sampled(trained)
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.add_(torch.randn_like(parameter))

    file = io.BytesIO()
    torch.save(trained.state_dict(), file)
    file.seek(0)
    fresh = AutoSparse(model, init_scale=0.5, init_gate_prob=0.2, example=example)
    fresh.load_state_dict(torch.load(file))

    for name, law in trained.laws().items():
        found: Any = peel(fresh.laws()[name])
        wanted: Any = peel(law)
        torch.testing.assert_close(found.mean, wanted.mean)
        torch.testing.assert_close(found.variance, wanted.variance)
    losses = []
    for guide in (trained, fresh):
        torch.manual_seed(0)
        losses.append(TraceSparse_ELBO().loss(model, guide, X, LABELS))
    assert losses[0] == losses[1]


@pytest.mark.parametrize("again", [copy.deepcopy, lambda guide: pickle.loads(pickle.dumps(guide))])
def test_copies_are_independent(again: Callable) -> None:
    guide = AutoSparse(classifier())
    other = again(guide)

    with torch.no_grad():
        other.get_parameter("sites.0.weight.loc").fill_(9.0)

    assert (other.laws()["0.weight"].mean == 9.0).all()
    assert (guide.laws()["0.weight"].mean != 9.0).all()


def test_moving() -> None:
    guide = AutoSparse(classifier(weight=dist.Normal(0.0, 1.0), gate=L0(1.0))).double()

    for name, value in sampled(guide).items():
        assert value.dtype == torch.float64, name
    assert guide.state_dict()["sites.0.gate.base__temperature"].dtype == torch.float64


def test_gates_follow_the_network_where_their_prior_has_no_tensors() -> None:
    model = Classifier(bayesianize(net().double(), weight=LogUniform(), gate=LogUniform()), 60)

    assert {p.dtype for p in AutoSparse(model).parameters()} == {torch.float64}


def test_families_of_the_users_own() -> None:
    guide = AutoSparse(
        classifier(),
        gate=HardConcrete(temperature=0.5, logits=2.0),
        weight=lambda site, options: NormalFamily(site.full(0.5), 0.25),
    )
    gate: Any = guide.laws()["0.gate"]
    weight: Any = guide.laws()["3.weight"]

    assert (gate.law.temperature == 0.5).all() and (gate.law.logits == 2.0).all()
    assert gate.law.batch_shape == (4,)
    assert (weight.law.loc == 0.5).all() and torch.allclose(weight.law.scale, torch.tensor(0.25))


def test_initial_values() -> None:
    guide = AutoSparse(
        classifier(),
        init=lambda name, shape: torch.ones(shape),
        init_scale=0.3,
        init_gate_prob=0.6,
    )
    laws: Any = guide.laws()

    assert (laws["0.weight"].mean == 1.0).all()
    torch.testing.assert_close(laws["0.weight"].law.scale, torch.full((5, 4), 0.3))
    torch.testing.assert_close(laws["0.gate"].law.probs, torch.full((4,), 0.6))


@pytest.mark.parametrize(
    ("shared", "numbers"),
    [(False, set()), (True, {"0.weight", "3.weight"}), (lambda s: s[0] == "0", {"0.weight"})],
)
def test_sites_drawn_once(shared: Any, numbers: set[str]) -> None:
    guide = AutoSparse(classifier(weight=LogUniform()), shared=shared)

    values = sampled(guide)

    assert {name for name, value in values.items() if type(value) is Tensor} == numbers
    assert all(isinstance(v, Deferred) for name, v in values.items() if name not in numbers)


def by_hand(x: Tensor, y: Tensor) -> None:
    """Improper priors, a scale of its own, and a noise."""
    weight = pyro.sample("w", LogUniform().expand((3, 4)).to_event(2))
    units = pyro.sample("z", L0(torch.ones(4)).to_event(1))
    noise = pyro.sample("noise", dist.LogNormal(0.0, 1.0))

    mean = nn.functional.linear(x, weight * units)
    with pyro.plate("data", 60, subsample=torch.arange(len(x))):
        pyro.sample("obs", dist.Normal(mean, noise).to_event(1), obs=y)


def test_a_program_of_the_users_own() -> None:
    y = torch.randn(6, 3)
    guide = AutoSparse(by_hand, example=(X, y))
    elbo = TraceSparse_ELBO()

    elbo.differentiable_loss(by_hand, guide, X, y).backward()

    laws: Any = guide.laws()
    assert {name: type(peel(law)) for name, law in laws.items()} == {
        "w": dist.Normal,
        "z": HardConcrete,
        "noise": dist.LogNormal,
    }
    assert all(p.grad is not None and p.grad.isfinite().all() for p in guide.parameters())
    assert elbo.parts is not None
    assert elbo.parts.noise == {"w": "local", "z": "per example (6)"}


def test_sites_of_every_support_train() -> None:
    def model(x: Tensor) -> None:
        mix = pyro.sample("mix", dist.Dirichlet(torch.ones(3)))
        place = pyro.sample("place", dist.MultivariateNormal(torch.zeros(2), torch.eye(2)))
        share = pyro.sample("share", dist.Uniform(torch.tensor(-1.0), torch.tensor(2.0)))
        size = pyro.sample("size", dist.HalfNormal(1.0).expand((2,)).to_event(1))
        mean = mix.sum() + (place * size).sum() + share
        pyro.sample("obs", dist.Normal(mean, 1.0).expand((6,)).to_event(1), obs=x[:, 0])

    guide = AutoSparse(model, example=(X,))
    TraceSparse_ELBO().differentiable_loss(model, guide, X).backward()

    assert all(p.grad is not None and p.grad.isfinite().all() for p in guide.parameters())
    assert guide.get_parameter("sites.mix.loc").shape == (2,)


def test_a_constrained_site_is_a_law_and_counts_its_jacobian() -> None:
    """The posterior under no data is the prior, with divergence 0."""

    def model() -> None:
        pyro.sample("s", dist.LogNormal(0.5, 1.0))
        pyro.sample("obs", dist.Normal(0.0, 1.0), obs=torch.tensor(0.0))

    guide, elbo = AutoSparse(model, example=()), TraceSparse_ELBO()
    with torch.no_grad():
        guide.get_parameter("sites.s.loc").fill_(0.5)
        guide.get_parameter("sites.s.log_variance").fill_(0.0)

    elbo.loss(model, guide)

    assert elbo.parts is not None
    torch.testing.assert_close(elbo.parts.kl["s"], torch.tensor(0.0))


def test_statements_beside_a_converted_network() -> None:
    converted = bayesianize(net(), weight=LogUniform(), gate=LogUniform())

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = converted

        def forward(self, x: Tensor, y: Tensor) -> None:
            noise = pyro.sample("noise", dist.Gamma(2.0, 1.0))
            law = dist.Normal(self.net(x), noise).to_event(1)
            with pyro.plate("data", len(x)):
                pyro.sample("obs", law, obs=y)

    model, y = Model(), torch.randn(6, 3)
    guide = AutoSparse(model, example=(X, y))

    laws: Any = guide.laws()
    assert laws["0.gate"].role == "gate" and (laws["0.gate"].mean == 1.0).all()
    TraceSparse_ELBO().differentiable_loss(model, guide, X, y).backward()
    assert all(p.grad is not None for p in guide.parameters())


def test_svi_finds_all_parameters_and_leaves_nothing_in_the_store() -> None:
    model = Regressor(bayesianize(net(), weight=LogUniform(), gate=L0(1.0)), 60)
    guide = AutoSparse(model)
    before = {name: p.clone() for name, p in named(model, guide)}
    svi = SVI(model, guide, ClippedAdam({"lr": 0.1}), TraceSparse_ELBO())

    svi.step(X, torch.randn(6, 3))

    unmoved = [name for name, p in named(model, guide) if torch.equal(p, before[name])]
    assert not unmoved
    assert {name for name, _ in model.named_parameters()} >= {"net.1.weight", "log_noise"}
    assert not list(pyro.get_param_store().keys())


def named(*modules: nn.Module) -> list[tuple[str, Tensor]]:
    return [item for module in modules for item in module.named_parameters()]


def test_svi_learns_at_different_rates() -> None:
    """Pyro's optimisers ask for the options of a parameter by its name."""
    model = classifier()
    guide = AutoSparse(model)
    before = {name: p.clone() for name, p in guide.named_parameters()}
    options: Any = lambda name: {"lr": 0.1 if "gate" in name else 0.001}  # noqa: E731
    svi = SVI(model, guide, ClippedAdam(options), TraceSparse_ELBO())

    svi.step(X, LABELS)

    for name, parameter in guide.named_parameters():
        step = (parameter - before[name]).abs().max().item()
        assert step == pytest.approx(0.1 if "gate" in name else 0.001, rel=1e-3)


def test_any_optimiser_of_torch() -> None:
    model = classifier()
    loss = TraceSparse_ELBO()(model, guide := AutoSparse(model))
    optimiser = torch.optim.SGD(loss.parameters(), lr=1e-3)
    before = {name: p.clone() for name, p in guide.named_parameters()}

    loss(X, LABELS).backward()
    optimiser.step()

    assert all(p.grad is not None for _, p in named(model, guide))
    assert all(not torch.equal(p, before[name]) for name, p in guide.named_parameters())


def chain(layers: dict[str, nn.Module]) -> nn.Sequential:
    return nn.Sequential(OrderedDict(layers))


def test_two_networks_in_one_program_are_both_trained() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            first = {"first": nn.Linear(4, 4), "norm": nn.BatchNorm1d(4)}
            second = {"second": nn.Linear(4, 3), "norm": nn.BatchNorm1d(3)}
            self.first = bayesianize(chain(first), weight=LogUniform())
            self.second = bayesianize(chain(second), weight=LogUniform())

        def forward(self, x: Tensor) -> Tensor:
            return self.second(self.first(x))

    model = Classifier(Model(), 60)
    guide = AutoSparse(model)
    before = {name: p.clone() for name, p in named(model, guide)}

    SVI(model, guide, ClippedAdam({"lr": 0.1}), TraceSparse_ELBO()).step(X, LABELS)

    assert not [name for name, p in named(model, guide) if torch.equal(p, before[name])]


def test_the_guide_ignores_its_arguments() -> None:
    guide = AutoSparse(classifier())

    assert sampled(guide).keys() == guide(X, nonsense=3).keys()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"init_scale": 0.0}, "init_scale is a positive standard deviation, got 0.0"),
        ({"init_scale": float("nan")}, "init_scale is a positive standard deviation, got nan"),
        ({"init_gate_prob": 1.0}, "init_gate_prob is between 0 and 1, got 1.0"),
        ({"init_gate_prob": 0.0}, "init_gate_prob is between 0 and 1, got 0.0"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AutoSparse(classifier(), **options)


def test_a_model_without_priors() -> None:
    with pytest.raises(ValueError, match=r"holds no priors made by bayesianize.*example="):
        AutoSparse(Classifier(net(), 60))


def test_empirical_priors_need_no_samples_either() -> None:
    model = classifier(weight=EmpiricalNormal(groups=-1))
    guide, elbo = AutoSparse(model), TraceSparse_ELBO()

    elbo.loss(model, guide, X, LABELS)

    assert elbo.parts is not None and all(elbo.parts.analytic.values())
    law: Any = guide.laws()["0.weight"]
    prior: Any = guide.priors()["0.weight"]
    torch.testing.assert_close(elbo.parts.kl["0.weight"], kl_divergence(law, prior).sum().detach())


def test_the_guide_holds_no_copy_of_the_model() -> None:
    model = classifier()
    guide = AutoSparse(model)

    assert isinstance(guide.laws()["0.weight"], Local)
    assert not any(isinstance(module, Prior) for module in guide.modules())
    assert not {id(p) for p in guide.parameters()} & {id(p) for p in model.parameters()}
