"""Posterior families: laws as functions of the parameters they own."""

import copy
import math
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import kl_divergence

from pyro_sparse import Local
from pyro_sparse.distributions import (
    L2,
    HardConcrete,
    MixtureGate,
    TruncatedExponential,
    TruncatedLogNormal,
)
from pyro_sparse.guides import (
    Family,
    LawFamily,
    LogNormalFamily,
    NormalFamily,
    PointFamily,
    TransformedFamily,
)
from pyro_sparse.guides.family import TruncatedLogNormalFamily
from pyro_sparse.infer.divergence import find_rule

LOC = torch.randn(3, 4)
FAMILIES: dict[str, tuple[Family, type]] = {
    "normal": (NormalFamily(LOC, 0.1), dist.Normal),
    "point": (PointFamily(LOC), dist.Delta),
    "gate": (LawFamily(HardConcrete(logits=LOC), ["base.logits"]), HardConcrete),
    "log-normal": (LogNormalFamily(LOC, 0.1), dist.LogNormal),
    "truncated log-normal": (
        TruncatedLogNormalFamily(-LOC.abs(), 0.1, -20.0, 0.0),
        TruncatedLogNormal,
    ),
    "positive": (
        TransformedFamily(dist.HalfCauchy(torch.ones(3, 4)), LOC, 0.1),
        dist.TransformedDistribution,
    ),
}


def unwrapped(law: Any) -> Any:
    return law.law if isinstance(law, Local) else law


@pytest.mark.parametrize("name", FAMILIES)
def test_the_law_has_the_shape_of_the_site(name: str) -> None:
    family, kind = FAMILIES[name]
    law = family.law()

    assert type(unwrapped(law)) is kind
    assert law.batch_shape == (3, 4) and law.event_shape == ()
    assert unwrapped(law).rsample().shape == (3, 4)


@pytest.mark.parametrize("name", FAMILIES)
def test_all_parameters_are_trained_through_the_law(name: str) -> None:
    family, _ = copy.deepcopy(FAMILIES[name])

    (unwrapped(family.law()).rsample() * torch.randn(3, 4)).sum().backward()

    for parameter in family.parameters():
        assert parameter.grad is not None and (parameter.grad != 0).any()


@pytest.mark.parametrize("name", FAMILIES)
def test_the_law_is_that_of_the_present_parameters(name: str) -> None:
    family, _ = copy.deepcopy(FAMILIES[name])
    torch.manual_seed(1)
    before = unwrapped(family.law()).rsample().detach().clone()

    with torch.no_grad():
        next(family.parameters()).add_(0.5)
    torch.manual_seed(1)

    assert (unwrapped(family.law()).rsample() != before).any()


@pytest.mark.parametrize("name", FAMILIES)
def test_precision(name: str) -> None:
    family = copy.deepcopy(FAMILIES[name][0]).double()

    assert unwrapped(family.law()).rsample().dtype == torch.float64


@pytest.mark.parametrize("name", FAMILIES)
def test_initial_values_are_copies(name: str) -> None:
    family = FAMILIES[name][0]

    assert all(p.data_ptr() != LOC.data_ptr() for p in family.parameters())
    assert all(p.is_leaf and p.is_contiguous() for p in family.parameters())


def test_normals() -> None:
    family = NormalFamily(LOC, 0.1, "gate", shared=True)
    law: Any = family.law()

    assert (law.role, law.shared) == ("gate", True)
    torch.testing.assert_close(law.mean, LOC)
    torch.testing.assert_close(law.law.scale, torch.full((3, 4), 0.1))
    assert family.log_variance[0, 0].item() == pytest.approx(2 * math.log(0.1))


def test_a_point_says_without_reading_numbers_that_it_has_no_jacobian() -> None:
    law: Any = PointFamily(LOC).law()

    assert not any(law.law.log_density.stride())
    assert find_rule(law, L2(torch.tensor(1.0))) is not None
    torch.testing.assert_close(kl_divergence(law, L2(torch.tensor(2.0))), LOC.square())


def test_laws_of_ones_own() -> None:
    family = LawFamily(HardConcrete(0.5, logits=LOC), ["base.logits", "base.temperature"])

    assert {name for name, _ in family.named_parameters()} == {"base__logits", "base__temperature"}
    law: Any = family.law()
    assert law.role == "gate" and law.law.temperature is family.base__temperature


def test_what_is_not_trained_is_a_buffer() -> None:
    family = LawFamily(HardConcrete(0.5, logits=LOC), ["base.logits"], role="weight", shared=True)

    assert {name for name, _ in family.named_buffers()} == {"base__temperature"}
    assert (family.law().role, family.law().shared) == ("weight", True)


def test_expanded_tensors_become_parameters_of_their_own() -> None:
    family = LawFamily(HardConcrete(logits=torch.zeros(())).expand((4,)), ["base.logits"])

    assert family.get_parameter("base__logits").stride() == (1,)


def test_laws_with_several_components() -> None:
    gate = MixtureGate(logits=torch.zeros(4), off=TruncatedExponential(torch.tensor(5.0)))
    family = LawFamily(gate, ["logits"])
    with torch.no_grad():
        family.get_parameter("logits").fill_(2.0)

    torch.testing.assert_close(
        unwrapped(family.law()).prob_active, torch.full((4,), 2.0).sigmoid()
    )


def test_names_of_tensors_that_a_law_lacks() -> None:
    with pytest.raises(
        ValueError, match=r"HardConcrete are among \['base\.logits'.*got \['loc'\]"
    ):
        LawFamily(HardConcrete(logits=LOC), ["loc"])


def test_a_normal_carried_to_the_support() -> None:
    low, high = torch.tensor(-1.0), torch.tensor(3.0)
    law = TransformedFamily(dist.Uniform(low, high), torch.zeros(5), 0.5).law()

    value = law.rsample()
    assert ((value > low) & (value < high)).all()
    assert law.log_prob(value).shape == (5,)


def test_a_normal_carried_to_the_simplex() -> None:
    law = TransformedFamily(dist.Dirichlet(torch.ones(3)), torch.zeros(2), 0.5).law()

    torch.testing.assert_close(law.rsample().sum(), torch.tensor(1.0))
    assert law.event_shape == (3,)


def test_a_family_of_ones_own() -> None:
    class Laplace(Family):
        def __init__(self) -> None:
            super().__init__()
            self.loc = nn.Parameter(torch.zeros(3))

        def law(self) -> dist.TorchDistribution:
            return dist.Laplace(self.loc, 1.0)

    assert isinstance(Laplace().law().rsample(), Tensor)
