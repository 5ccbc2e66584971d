"""What is closed is dropped by the criterion that everybody uses."""

from typing import Any

import pytest
import torch
from pyro.distributions import Gamma
from torch import nn

from pyro_sparse.distributions import (
    L0,
    L2,
    EmpiricalNormal,
    HardConcrete,
    HardNormal,
    LogUniform,
    MixtureGate,
    TruncatedExponential,
    TruncatedLogUniform,
)
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer.closing import close, reopen
from pyro_sparse.nn import bayesianize
from pyro_sparse.prune import masks

MIXTURE = MixtureGate(logits=3.0, off=TruncatedExponential(20.0))
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "hard concrete": ({"gate": L0(1.0)}, {"gate": HardConcrete(logits=3.0)}, "gate"),
    "hard normal": ({"gate": L0(1.0)}, {"gate": HardNormal(loc=1.0, scale=0.5)}, "gate"),
    "mixture": ({"gate": L0(1.0)}, {"gate": MIXTURE}, "gate"),
    "scale": ({"gate": EmpiricalNormal()}, {}, "gate"),
    "truncated": ({"gate": TruncatedLogUniform(-20.0, 0.0)}, {}, "gate"),
    "log-normal": ({"gate": Gamma(1.0, 1.0)}, {}, "gate"),
    "dropout": ({"weight": LogUniform()}, {}, "weight"),
    "point": ({"weight": L2(1.0)}, {}, "weight"),
}


@pytest.mark.parametrize("name", CASES)
def test_closed_entries_are_dropped_and_the_others_are_not(name: str) -> None:
    priors, laws, site = CASES[name]
    model = bayesianize(nn.Linear(4, 3), **priors)
    guide = AutoSparse(model, **laws)
    before = masks(guide)[site]
    assert before.all()
    closed = torch.zeros_like(before)
    closed.view(-1)[:2] = True

    close(guide.sites.get_submodule(site), closed)

    assert torch.equal(masks(guide)[site], ~closed)


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name][2] == "gate"])
def test_what_is_opened_again_is_kept(name: str) -> None:
    priors, laws, site = CASES[name]
    model = bayesianize(nn.Linear(4, 3), **priors)
    guide = AutoSparse(model, **laws)
    family, shape = guide.sites.get_submodule(site), masks(guide)[site].shape
    closed = torch.ones(shape, dtype=torch.bool).view(-1)
    closed[2] = False
    close(family, closed.view(shape))
    opened = torch.zeros_like(closed)
    opened[1] = True

    reopen(family, opened.view(shape), torch.tensor(2))

    assert masks(guide)[site].flatten().nonzero().flatten().tolist() == [1, 2]


def test_a_weight_that_is_opened_again_keeps_its_mean() -> None:
    guide = AutoSparse(bayesianize(nn.Linear(4, 3), weight=LogUniform()))
    family: Any = guide.sites.get_submodule("weight")
    with torch.no_grad():
        family.log_variance[0].fill_(5.0)
    before = family.loc.clone()
    opened = ~masks(guide)["weight"]
    assert 0 < opened.sum() <= 4

    reopen(family, opened, torch.tensor(8))

    assert masks(guide)["weight"].all() and torch.equal(family.loc, before)
