"""Pyro's own mean-field bound sees the same rules, and agrees with ours wherever it works."""

from typing import Any

import pyro
import pytest
import torch
from pyro.distributions import Bernoulli, Normal
from pyro.infer import TraceMeanField_ELBO
from torch.distributions import kl_divergence

import pyro_sparse.kl  # noqa: F401
from pyro_sparse.infer import TraceSparse_ELBO
from pyro_sparse.testing import RuleCase
from tests.cases import RULES


def laws(case: RuleCase) -> tuple[Any, Any]:
    q, p = case.q.law(), case.p.law()
    shape = torch.broadcast_shapes(q.batch_shape, p.batch_shape)
    return q.expand(shape).to_event(len(shape)), p.expand(shape).to_event(len(shape))


@pytest.mark.parametrize("case", RULES, ids=str)
def test_bounds_agree(case: RuleCase) -> None:
    q, p = laws(case)

    def model() -> None:
        pyro.sample("w", p)
        pyro.sample("y", Normal(0.0, 1.0), obs=torch.tensor(0.3))

    def guide() -> None:
        pyro.sample("w", q)

    expected = kl_divergence(q, p) - Normal(0.0, 1.0).log_prob(torch.tensor(0.3))
    ours = float(TraceSparse_ELBO().loss(model, guide))
    assert ours == pytest.approx(expected.item(), rel=1e-6)

    if isinstance(case.p.law(), Bernoulli):
        with pytest.raises(ValueError, match="support"):
            TraceMeanField_ELBO().loss(model, guide)
    else:
        theirs = float(TraceMeanField_ELBO().loss(model, guide))
        assert theirs == pytest.approx(ours, rel=1e-6)
