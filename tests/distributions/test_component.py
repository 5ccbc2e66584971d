"""Which laws may be a component of a mixture gate, or be mirrored."""

from collections.abc import Callable

import pyro.distributions as dist
import pytest
import torch
from torch.distributions import Distribution, Kumaraswamy

from pyro_sparse.distributions import (
    HardConcrete,
    Mirrored,
    MixtureGate,
    PowerFunction,
    TruncatedLogUniform,
)
from pyro_sparse.distributions.component import require_component

LAWS = (
    PowerFunction(20.0),
    Kumaraswamy(torch.tensor(1.0), torch.tensor(19.0)),
    Kumaraswamy(torch.ones(2), torch.ones(2)).expand((3, 2)),
    dist.Uniform(torch.zeros(2), torch.ones(2)),
    TruncatedLogUniform(),
)


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_laws_on_the_unit_interval(law: Distribution) -> None:
    require_component("Mirrored", law)


@pytest.mark.parametrize("make", [Mirrored, lambda law: MixtureGate(0.5, off=law)])
@pytest.mark.parametrize(
    "law, wrong",
    [
        (dist.Normal(0.0, 1.0), "needs laws on the unit interval, got Real"),
        (dist.Uniform(torch.zeros(2), torch.tensor([1.0, 2.0])), "on the unit interval"),
        (HardConcrete(logits=torch.zeros(2)), "needs laws without atoms, got HardConcrete"),
    ],
    ids=["unbounded", "too wide", "atoms"],
)
def test_other_laws_are_refused(
    make: Callable[[Distribution], Distribution], law: Distribution, wrong: str
) -> None:
    with pytest.raises(ValueError, match=wrong):
        make(law)
