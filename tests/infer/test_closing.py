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
from pyro_sparse.infer.closing import close
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
