"""What a guide finds out about a model's sites without sampling its priors."""

from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor, nn

from pyro_sparse.distributions import L0, L2, EmpiricalNormal, HardConcrete, LogUniform
from pyro_sparse.guides import SiteSpec
from pyro_sparse.guides.site import find_sites
from pyro_sparse.nn import Classifier, bayesianize

X, Y = torch.randn(5, 4), torch.zeros(5)


def found(model: Any, example: tuple | None = None) -> dict[str, SiteSpec]:
    return {site.name: site for site in find_sites(model, example)}


def site(shape: tuple[int, ...], **fields: Any) -> SiteSpec:
    like = fields.pop("like", torch.zeros(()))
    law = dist.Normal(0.0, 1.0)
    return SiteSpec("w", law, torch.Size(shape), like, len(shape), "weight", **fields)


def test_constants_have_the_type_of_the_site() -> None:
    full = site((2, 3), like=torch.zeros((), dtype=torch.float64)).full(0.5)

    assert full.shape == (2, 3) and full.dtype == torch.float64 and (full == 0.5).all()


@pytest.mark.parametrize(
    ("shape", "fan_in"), [((400, 100), 100), ((300, 5, 4, 3), 60), ((900,), 900), ((), 1)]
)
def test_initial_weights_have_variance_one_by_fan_in(shape: tuple[int, ...], fan_in: int) -> None:
    weights = site(shape).weights()

    assert weights.shape == shape
    if weights.numel() > 100:
        assert (weights.var() * fan_in).item() == pytest.approx(1.0, abs=0.2)


def test_trained_weights_come_first() -> None:
    initial = torch.randn(2, 3)

    assert site((2, 3), initial=initial).weights() is initial


def test_sites_of_a_converted_network_are_found_without_a_run() -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    sites = found(Classifier(bayesianize(net, weight=LogUniform(), gate=L0(1.0)), 20))

    assert list(sites) == ["0.gate", "0.weight", "1.gate", "1.weight"]
    assert [s.role for s in sites.values()] == ["gate", "weight"] * 2
    assert sites["0.weight"].shape == (3, 4) and sites["0.weight"].event_dim == 2
    torch.testing.assert_close(sites["0.weight"].initial, net.get_parameter("0.weight").detach())
    assert sites["0.gate"].initial is None


def test_the_prior_is_the_present_one() -> None:
    net = bayesianize(nn.Linear(4, 3), weight=dist.Normal(0.0, 1.0))
    sites = found(net)

    net.get_buffer("priors.weight.scale").fill_(3.0)

    prior: Any = sites["weight"].prior
    assert prior.scale == 3.0


AS_GATE: Any = {"role": "gate"}


def program(x: Tensor, y: Tensor) -> None:
    """Priors that cannot be sampled, and one of each kind of support."""
    weight = pyro.sample("w", LogUniform().expand((4, 3)).to_event(2))
    scale = pyro.sample("scale", EmpiricalNormal().expand((3,)).to_event(1), infer=AS_GATE)
    decay = pyro.sample("decay", L2(torch.tensor(1.0)).expand((3,)).to_event(1))
    units = pyro.sample("z", L0(torch.ones(3)).to_event(1))
    coin = pyro.sample("coin", dist.Bernoulli(0.3))
    gate = pyro.sample("gate", HardConcrete(logits=torch.zeros(3)).to_event(1))
    mix = pyro.sample("mix", dist.Dirichlet(torch.ones(3)))
    noise = pyro.sample("noise", dist.HalfCauchy(1.0))
    assert weight.isfinite().all() and noise > 0 and coin == 1
    torch.testing.assert_close(mix.sum(), torch.tensor(1.0))

    mean = (x @ weight * scale * units * gate * decay * mix).sum(-1)
    with pyro.plate("data", 100, subsample_size=len(x)):
        pyro.sample("obs", dist.Normal(mean, noise), obs=y)


def test_a_program_is_run_without_sampling_its_priors() -> None:
    sites = found(program, (X, Y))

    assert {name: (s.role, tuple(s.shape), s.event_dim) for name, s in sites.items()} == {
        "w": ("weight", (4, 3), 2),
        "scale": ("gate", (3,), 1),
        "decay": ("weight", (3,), 1),
        "z": ("gate", (3,), 1),
        "coin": ("gate", (), 0),
        "gate": ("gate", (3,), 1),
        "mix": ("weight", (3,), 1),
        "noise": ("weight", (), 0),
    }
    assert isinstance(sites["w"].prior, LogUniform)


def test_the_run_is_not_heard_outside() -> None:
    with pyro.poutine.trace() as heard:
        find_sites(program, (X, Y))

    assert not heard.trace.nodes


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_laws_without_tensors_take_the_examples_type(dtype: torch.dtype) -> None:
    sites = found(program_in_double if dtype == torch.float64 else program, (X.to(dtype), Y))

    assert sites["w"].full(0.0).dtype == dtype


def program_in_double(x: Tensor, y: Tensor) -> None:
    weight = pyro.sample("w", LogUniform().expand((4, 3)).to_event(2))
    pyro.sample("obs", dist.Normal((x @ weight).sum(-1), 1.0).to_event(1), obs=y)


class Noisy(nn.Module):
    """A converted network with statements of one's own around it."""

    def __init__(self) -> None:
        super().__init__()
        net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
        net[2].weight = net[2].weight
        self.net = bayesianize(net, weight=LogUniform(), gate=LogUniform())

    def forward(self, x: Tensor, y: Tensor) -> None:
        noise = pyro.sample("noise", dist.LogNormal(0.0, 1.0))
        pyro.sample("obs", dist.Normal(self.net(x)[:, 0], noise).to_event(1), obs=y)


def test_a_run_keeps_what_is_known_of_converted_networks() -> None:
    model = Noisy()
    run, known = found(model, (X, Y)), found(model)

    assert run.keys() == known.keys() | {"noise"}
    for name, spec in known.items():
        assert run[name] == spec
    assert run["0.gate"].role == "gate" and run["0.weight"].initial is not None


def test_a_run_does_not_count_as_a_step() -> None:
    model = Noisy()
    find_sites(model, (X, Y))

    norm: Any = model.net.get_submodule("1")
    assert norm.num_batches_tracked == 0 and (norm.running_mean == 0).all()
    assert all(module.training for module in model.modules())


def test_modes_come_back_after_an_error() -> None:
    model = Noisy()
    with pytest.raises(RuntimeError):
        find_sites(model, (torch.zeros(5, 7), Y))

    assert all(module.training for module in model.modules())


def discrete(x: Tensor, y: Tensor) -> None:
    pyro.sample("k", dist.Categorical(torch.ones(3)))


def counting(x: Tensor, y: Tensor) -> None:
    pyro.sample("n", dist.Poisson(3.0))


def local_latents(x: Tensor, y: Tensor) -> None:
    with pyro.plate("data", len(x)):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("obs", dist.Normal(z, 1.0), obs=y)


def nothing(x: Tensor, y: Tensor) -> None:
    pyro.sample("obs", dist.Normal(0.0, 1.0).expand((5,)).to_event(1), obs=y)


@pytest.mark.parametrize(
    ("model", "example", "message"),
    [
        (discrete, (X, Y), "site 'k' is Categorical, a discrete law. Write the guide by hand"),
        (counting, (X, Y), "site 'n' is Poisson, a discrete law. Write the guide by hand"),
        (local_latents, (X, Y), r"'z' is inside plates \['data'\].*by hand, with the same plates"),
        (nothing, (X, Y), "the model samples none"),
        (nothing, None, r"function holds no priors made by bayesianize.*example=\(x, y\)"),
        (nn.Linear(4, 3), None, "Linear holds no priors made by bayesianize"),
    ],
)
def test_refusals(model: Any, example: tuple | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_sites(model, example)
