import torch
from pyro.distributions import Normal
from pyro.infer import SVI
from pyro.optim import PyroOptim
from torch import Tensor, nn

from models.lenet import mlp
from pyro_sparse.distributions import L0, EmpiricalNormal, HardConcrete, LogUniform
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import TraceSparse_ELBO
from pyro_sparse.local import peel
from pyro_sparse.nn import Regressor, bayesianize
from pyro_sparse.prune import compact, freeze
from pyro_sparse.prune.variances import variances
from tests.common import assert_mean
from tests.prune.nets import zero


def randomised(guide: AutoSparse) -> AutoSparse:
    with torch.no_grad():
        for name, parameter in guide.named_parameters():
            if name.endswith("log_variance"):
                parameter.uniform_(-3.0, 0.0)

    return guide


def test_gates_scale_the_noise_and_parameters_without_posterior_have_none() -> None:
    model = bayesianize(nn.Linear(4, 3), weight=Normal(0.0, 1.0), gate=L0(1.0))
    guide = randomised(AutoSparse(model))
    gate, weight = (peel(guide.laws()[site]) for site in ("gate", "weight"))
    assert isinstance(gate, HardConcrete)
    with torch.no_grad():
        guide.get_parameter("sites.gate.base__logits").copy_(torch.tensor([-5.0, 0.0, 1.0, 9.0]))

    found = variances(model, guide)

    torch.testing.assert_close(found["weight"], weight.variance * gate.deterministic**2)
    assert found["weight"][:, 0].eq(0).all()
    assert found["bias"].eq(0).all()


def test_random_scales_add_their_own() -> None:
    model = bayesianize(
        nn.Linear(3, 2), weight=LogUniform(), bias=LogUniform(), gate=EmpiricalNormal(),
        gate_dim="out",
    )  # fmt: skip
    guide = randomised(AutoSparse(model, init=lambda name, shape: torch.randn(shape)))
    everything = {s: torch.ones(law.batch_shape) > 0 for s, law in guide.laws().items()}

    found = variances(model, guide, everything)

    laws = {site: peel(law) for site, law in guide.laws().items()}
    for name in ("weight", "bias"):
        gate = laws["gate"].sample((40_000,))
        gate = gate.unsqueeze(-1) if name == "weight" else gate
        products = gate * laws[name].sample((40_000,))
        mean = laws[name].mean * (laws["gate"].mean.unsqueeze(-1) if name == "weight" else 1)
        mean = mean if name == "weight" else mean * laws["gate"].mean
        assert_mean((products - mean).square().detach(), found[name])


def test_going_on_as_a_bayesian_network() -> None:
    net = mlp(4, 8, 1)
    zero(net.get_parameter("fc1.weight"), slice(3, None))
    x, y = torch.randn(64, 4), torch.randn(64, 1)
    model = bayesianize(net, weight=Normal(0.0, 1.0))
    guide = randomised(AutoSparse(model))
    frozen = freeze(model, guide)
    smaller = compact(frozen, x)

    again = bayesianize(smaller, weight=Normal(0.0, 1.0))
    carried = AutoSparse(again)
    with torch.no_grad():
        for path, variance in variances(model, guide).items():
            if path.endswith("weight"):
                left = smaller.plan.cut(path, variance)
                carried.get_parameter(f"sites.{path}.log_variance").copy_(left.log())

    assert smaller.get_parameter("fc1.weight").shape == (3, 4)
    for path in ("fc1.weight", "fc2.weight"):
        old, new = peel(guide.laws()[path]), peel(carried.laws()[path])
        torch.testing.assert_close(new.mean, smaller.plan.cut(path, old.mean))
        torch.testing.assert_close(new.variance, smaller.plan.cut(path, old.variance))

    assert step(Regressor(again, len(x)), carried, x, y).isfinite().all()


def step(model: nn.Module, guide: AutoSparse, x: Tensor, y: Tensor) -> Tensor:
    svi = SVI(model, guide, PyroOptim(torch.optim.Adam, {"lr": 0.01}), TraceSparse_ELBO())
    return torch.tensor([svi.step(x, y) for _ in range(3)])
