"""The tensors a law is made of, and the same law over others."""

from typing import Any

import pyro.distributions as dist
import pytest
import torch

from pyro_sparse import Local
from pyro_sparse.distributions import L0, HardConcrete, LogUniform
from pyro_sparse.local import law_tensors, with_law_tensors


def test_names_lead_into_the_laws_inside() -> None:
    law = Local(dist.Normal(torch.zeros(3), torch.ones(3))).to_event(1)

    assert dict(law_tensors(law)).keys() == {"base_dist.law.loc", "base_dist.law.scale"}


def test_values_are_the_tensors_themselves() -> None:
    loc = torch.zeros(3)
    found = dict(law_tensors(dist.Normal(loc.expand(2, 3), 1.0)))["loc"]

    assert found.data_ptr() == loc.data_ptr()


def test_laws_without_tensors() -> None:
    assert not list(law_tensors(LogUniform()))


def test_lazy_values_do_not_appear_unless_asked_for() -> None:
    law = dist.Bernoulli(probs=torch.tensor([0.3]))
    before = dict(law_tensors(law)).keys()
    law.logits  # noqa: B018

    assert "logits" not in before
    assert dict(law_tensors(law)).keys() - before == {"logits"}


def test_other_tensors_give_another_law() -> None:
    law = HardConcrete(logits=torch.zeros(3)).to_event(1)
    names = dict(law_tensors(law))

    changed: Any = with_law_tensors(law, {**names, "base_dist.base.logits": torch.full((3,), 2.0)})

    wanted = HardConcrete(logits=torch.full((3,), 2.0))
    torch.testing.assert_close(changed.base_dist.prob_active, wanted.prob_active)
    torch.testing.assert_close(
        law.base_dist.prob_active, HardConcrete(logits=torch.zeros(3)).prob_active
    )


def test_values_computed_from_others_are_computed_anew() -> None:
    law = dist.Bernoulli(probs=torch.tensor([0.3]))
    law.logits  # noqa: B018

    changed: Any = with_law_tensors(law, {"probs": torch.tensor([0.5])})

    torch.testing.assert_close(changed.logits, torch.zeros(1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_law_moved_by_its_tensors(dtype: torch.dtype) -> None:
    law = L0(torch.tensor(2.0)).expand([3])

    moved = with_law_tensors(law, {n: t.to(dtype) for n, t in law_tensors(law)})

    assert moved.log_prob(torch.ones(3, dtype=dtype)).dtype == dtype
