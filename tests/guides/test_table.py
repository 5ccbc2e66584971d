"""Which family a prior gets, and how to change that."""

from collections.abc import Iterator
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from torch import nn

from pyro_sparse import Local
from pyro_sparse.distributions import (
    L0,
    L2,
    EmpiricalNormal,
    GroupGaussianMixture,
    HardConcrete,
    HardNormal,
    LogUniform,
    MixtureGate,
    TruncatedExponential,
    TruncatedLogNormal,
    TruncatedLogUniform,
)
from pyro_sparse.guides import (
    AutoSparse,
    Family,
    LawFamily,
    NormalFamily,
    Options,
    PointFamily,
    SiteSpec,
)
from pyro_sparse.guides import table as module
from pyro_sparse.guides.table import build_family, located, register_family
from pyro_sparse.local import peel
from pyro_sparse.nn import bayesianize


@pytest.fixture(autouse=True)
def table() -> Iterator[None]:
    """The table as it was: what a test enters is not left behind."""
    before = list(module._TABLE)
    yield
    module._TABLE[:] = before


def site(law: Any, role: str, shape: tuple[int, ...] = (3, 4), **fields: Any) -> SiteSpec:
    like = fields.pop("like", torch.zeros(()))
    return SiteSpec("fc.w", law, torch.Size(shape), like, len(shape), role, **fields)


def family(law: Any, role: str, override: Any = None, **fields: Any) -> Family:
    options = Options(init_scale=0.1, init_gate_prob=0.8)
    return build_family(site(law, role, **fields), options, override)


MIXTURE = GroupGaussianMixture(torch.full((3, 1), 0.5), 1.0, 0.1)
TABLE: list[tuple[Any, str, type, bool]] = [
    (LogUniform(), "weight", dist.Normal, True),
    (dist.Normal(0.0, 1.0), "weight", dist.Normal, True),
    (EmpiricalNormal(), "weight", dist.Normal, True),
    (MIXTURE, "weight", dist.Normal, True),
    (L2(1.0), "weight", dist.Delta, True),
    (L0(1.0), "gate", HardConcrete, True),
    (dist.Bernoulli(0.2), "gate", HardConcrete, True),
    (HardConcrete(logits=torch.tensor(0.0)), "gate", HardConcrete, True),
    (HardNormal(0.0, 1.0), "gate", HardConcrete, True),
    (LogUniform(), "gate", dist.Normal, True),
    (EmpiricalNormal(), "gate", dist.Normal, True),
    (TruncatedLogUniform(), "gate", TruncatedLogNormal, True),
    (dist.Gamma(0.5, 1.0), "weight", dist.LogNormal, False),
    (dist.InverseGamma(0.5, 1.0), "gate", dist.LogNormal, True),
    (dist.HalfCauchy(1.0), "weight", dist.LogNormal, False),
    (dist.LogNormal(0.0, 1.0), "weight", dist.LogNormal, False),
    (dist.Laplace(0.0, 1.0), "weight", dist.TransformedDistribution, False),
    (dist.Uniform(0.0, 1.0), "weight", dist.TransformedDistribution, False),
]


@pytest.mark.parametrize(("prior", "role", "kind", "local"), TABLE)
def test_families_follow_prior_and_role(prior: Any, role: str, kind: type, local: bool) -> None:
    law: Any = family(prior, role).law()

    assert isinstance(law, Local) == local
    if local:
        assert law.role == role
    inner: Any = peel(law)
    assert inner.batch_shape == (3, 4)
    assert type(inner) is kind


@pytest.mark.parametrize("prior", [L2(1.0), dist.Laplace(0.0, 1.0)])
def test_gates_without_a_family_are_refused(prior: Any) -> None:
    name = type(prior).__name__

    with pytest.raises(ValueError, match=rf"gate 'fc\.w' under a {name} prior.*register_family"):
        family(prior, "gate")


def test_weights_start_where_they_were_and_scales_at_one() -> None:
    weights = family(LogUniform(), "weight", initial=torch.full((3, 4), 7.0))
    scales = family(LogUniform(), "gate")

    assert (weights.get_parameter("loc") == 7.0).all()
    assert (scales.get_parameter("loc") == 1.0).all()
    for made in (weights, scales):
        torch.testing.assert_close(
            made.get_parameter("log_variance").exp(), torch.full((3, 4), 0.01)
        )


def test_gates_start_open() -> None:
    law: Any = family(L0(1.0), "gate").law()

    torch.testing.assert_close(law.law.probs, torch.full((3, 4), 0.8))


def test_the_function_of_initial_values() -> None:
    asked = []

    def init(name: str, shape: torch.Size) -> Any:
        asked.append((name, shape))
        return torch.full(shape, 2.0, dtype=torch.float64)

    made = build_family(site(LogUniform(), "weight"), Options(init=init))

    assert asked == [("fc.w", (3, 4))]
    assert (made.get_parameter("loc") == 2.0).all()
    assert made.get_parameter("loc").dtype == torch.float32


def test_initial_values_have_the_shape_of_their_site() -> None:
    options = Options(init=lambda name, shape: torch.zeros(shape[::-1]))

    with pytest.raises(ValueError, match=r"\(3, 4\) for 'fc\.w', got \(4, 3\)"):
        build_family(site(LogUniform(), "weight"), options)


@pytest.mark.parametrize("role", ["weight", "gate"])
def test_shared_sites(role: str) -> None:
    prior = LogUniform() if role == "weight" else L0(1.0)

    law: Any = family(prior, role, shared=True).law()

    assert law.shared


@pytest.mark.parametrize(
    ("law", "trained"),
    [
        (HardConcrete(0.5, logits=1.0), "base__logits"),
        (HardNormal(torch.tensor(0.5), torch.tensor(0.4)), "base__loc"),
        (
            MixtureGate(logits=torch.tensor(0.0), off=TruncatedExponential(torch.tensor(9.0))),
            "logits",
        ),
        (dist.Normal(0.0, 1.0), "loc"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_law_of_the_users_own_has_its_location_trained(law: Any, trained: str) -> None:
    made = family(L0(1.0), "gate", override=law, like=torch.zeros((), dtype=torch.float64))

    assert [name for name, _ in made.named_parameters()] == [trained]
    assert made.get_parameter(trained).shape == (3, 4)
    tensors = [*made.parameters(), *made.buffers()]
    assert {tensor.dtype for tensor in tensors} == {torch.float64}
    found: Any = made.law()
    assert isinstance(found, Local) and type(found.law) is type(law)
    assert found.law.rsample().dtype == torch.float64


def test_a_law_without_a_location() -> None:
    with pytest.raises(ValueError, match=r"Gamma at 'fc\.w' holds.*LawFamily\(law, trained=names"):
        located(site(L0(1.0), "gate"), dist.Gamma(1.0, 1.0))


def test_a_function_of_the_users_own() -> None:
    def choose(spec: SiteSpec, options: Options) -> Family:
        return PointFamily(spec.full(options.scale(spec)))

    made = family(LogUniform(), "weight", override=choose)

    assert isinstance(made, PointFamily) and (made.value == 0.1).all()


def test_later_entries_go_first() -> None:
    def doubled(spec: SiteSpec, options: Options) -> Family:
        return NormalFamily(spec.full(2.0), 1.0)

    register_family(LogUniform, "weight", doubled)

    assert (family(LogUniform(), "weight").get_parameter("loc") == 2.0).all()
    assert (family(LogUniform(), "gate").get_parameter("loc") == 1.0).all()


def test_a_prior_of_the_users_own() -> None:
    register_family(
        dist.Laplace,
        "gate",
        lambda spec, options: LawFamily(HardConcrete(logits=spec.full(0.0)), ["base.logits"]),
    )
    guide = AutoSparse(bayesianize(nn.Linear(4, 3), gate=dist.Laplace(0.0, 1.0)))

    law: Any = guide.laws()["gate"]
    assert type(law.law) is HardConcrete


def test_roles_are_two() -> None:
    with pytest.raises(ValueError, match="'weight' or 'gate', got 'bias'"):
        register_family(LogUniform, "bias", lambda spec, options: PointFamily(spec.weights()))
