"""Smooth chances agree with the criteria they stand for."""

from typing import Any

import pytest
import torch
from pyro.distributions import Delta, LogNormal, Normal

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
from pyro_sparse.prune.chance import chance_kept, is_kept
from pyro_sparse.prune.mask import Posterior

MEANS = torch.linspace(-2, 2, 41, dtype=torch.double)
SPREAD = torch.linspace(0.05, 3.0, 41, dtype=torch.double).flip(0)
MIXTURE = GroupGaussianMixture(torch.tensor(0.5), torch.tensor(1.0), torch.tensor(0.1))
TRUNCATED = TruncatedLogUniform(-20.0, 0.0)

CASES: dict[str, tuple[Any, str, Any]] = {
    "variational dropout": (Normal(MEANS, SPREAD), "weight", LogUniform()),
    "empirical Bayes": (Normal(MEANS, SPREAD), "weight", EmpiricalNormal()),
    "two scales": (Normal(MEANS, SPREAD), "weight", MIXTURE),
    "information bottleneck": (Normal(MEANS, SPREAD), "gate", EmpiricalNormal()),
    "log-normal": (LogNormal(MEANS, SPREAD), "gate", LogUniform()),
    "truncated": (TruncatedLogNormal(5 * MEANS - 10, SPREAD, -20.0, 0.0), "gate", TRUNCATED),
    "mixture": (MixtureGate(logits=MEANS, off=TruncatedExponential(20.0)), "gate", L0(1.0)),
}


@pytest.mark.parametrize("name", CASES)
def test_the_chance_is_above_one_half_where_an_entry_is_kept(name: str) -> None:
    posterior = Posterior(*CASES[name])
    chance, kept = chance_kept(posterior), is_kept(posterior)

    assert chance is not None and 0 < kept.sum() < len(kept)
    assert torch.equal(chance > 0.5, kept > 0)


@pytest.mark.parametrize("law", [HardConcrete(logits=MEANS), HardNormal(MEANS, 0.5)])
def test_of_a_gate_it_is_the_probability(law: Any) -> None:
    posterior = Posterior(law, "gate", L0(1.0))

    assert torch.equal(chance_kept(posterior), law.prob_active)  # type: ignore[arg-type]
    assert torch.equal(is_kept(posterior) > 0, law.deterministic > 0)


@pytest.mark.parametrize(
    "law, prior", [(Delta(MEANS), L2(1.0)), (Normal(MEANS, SPREAD), Normal(0.0, 1.0))]
)
def test_some_posteriors_drop_nothing(law: Any, prior: Any) -> None:
    assert chance_kept(Posterior(law, "weight", prior)) is None


def test_a_mean_of_zero_has_a_gradient() -> None:
    mean = torch.zeros(3, requires_grad=True)
    scale = torch.ones(3, requires_grad=True)
    chance = chance_kept(Posterior(Normal(mean, scale), "weight", LogUniform()))
    assert chance is not None

    grads = torch.autograd.grad(chance.sum(), (mean, scale))

    assert all(grad.isfinite().all() for grad in grads)
    assert chance.max() < 1e-6
