"""Priors as modules."""

import copy
import pickle
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from torch import Tensor, nn

from pyro_sparse.distributions import L0, HardConcrete, LogUniform
from pyro_sparse.prior import Prior


def prior(law: Any, *shape: int) -> Prior:
    return Prior("fc.weight", law, torch.Size(shape), None, "weight")


def scale(law: Any) -> Tensor:
    return law.base_dist.scale


def test_the_law_is_expanded_and_an_event() -> None:
    law = prior(dist.Normal(0.0, 2.0), 3, 4).law

    assert (law.batch_shape, law.event_shape) == ((), (3, 4))
    torch.testing.assert_close(scale(law), torch.full((3, 4), 2.0))


def test_the_tensors_are_buffers_that_follow_the_module() -> None:
    made = prior(dist.Normal(0.0, torch.full((4,), 2.0)), 3, 4)
    assert made.state_dict().keys() == {"loc", "scale"}

    made.double()

    assert scale(made.law).dtype == made.base.loc.dtype == made.like.dtype == torch.float64


def test_dotted_names_of_laws_inside_laws() -> None:
    made = prior(HardConcrete(logits=torch.zeros(3)), 3)

    assert made.state_dict().keys() == {"base__temperature", "base__logits"}
    assert made.double().base.base.logits.dtype == torch.float64


def test_a_checkpoint_brings_its_numbers_back() -> None:
    saved, fresh = prior(dist.Normal(0.0, 2.0), 3), prior(dist.Normal(0.0, 1.0), 3)

    fresh.load_state_dict(saved.state_dict())

    torch.testing.assert_close(scale(fresh.law), torch.full((3,), 2.0))


def test_the_law_sees_changes_in_place_and_replacements() -> None:
    made = prior(dist.Normal(torch.zeros(3), torch.ones(3)), 3)

    made.scale.fill_(3.0)  # type: ignore[operator]
    torch.testing.assert_close(scale(made.law), torch.full((3,), 3.0))

    made.scale = torch.full((3,), 5.0)
    torch.testing.assert_close(scale(made.law), torch.full((3,), 5.0))
    torch.testing.assert_close(made.base.scale, torch.full((3,), 5.0))


def test_the_law_is_the_same_object_while_nothing_changes() -> None:
    made = prior(dist.Normal(0.0, 1.0), 3)

    assert made.law is made.law


def test_parameters_of_a_law_are_trained() -> None:
    """Empirical Bayes: the prior's scale is a parameter of the model."""
    given = nn.Parameter(torch.tensor(2.0))
    made = prior(dist.Normal(0.0, given), 3)

    made.law.log_prob(torch.ones(3)).backward()

    assert [name for name, _ in made.named_parameters()] == ["scale"]
    assert made.scale.grad != 0 and given.grad is None


def test_the_given_law_is_left_alone() -> None:
    law = dist.Normal(torch.zeros(3), 1.0)

    prior(law, 3).loc.fill_(7.0)  # type: ignore[operator]

    assert (law.loc == 0).all()


def test_the_statement() -> None:
    made = prior(dist.Normal(0.0, 1.0), 3, 4)
    made.infer = {"gated_by": "gate"}

    trace = poutine.trace(made.draw).get_trace()

    site: Any = trace.nodes["fc.weight"]
    assert site["value"].shape == (3, 4)
    assert site["infer"] == {"gated_by": "gate"} and site["infer"] is not made.infer


@pytest.mark.parametrize("law", [LogUniform(), L0(1.0), dist.Normal(0.0, 1.0)])
@pytest.mark.parametrize("again", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_are_independent(law: Any, again: Any) -> None:
    made = prior(law, 3)
    other = again(made)

    assert other.site == made.site and other.law.event_shape == (3,)
    for name, tensor in other.named_buffers():
        tensor.fill_(9.0)
        assert (getattr(made, name) != 9.0).all()
    if isinstance(law, dist.Normal):
        assert (scale(other.law) == 9.0).all() and (scale(made.law) == 1.0).all()


def test_the_text_names_site_and_law() -> None:
    assert repr(prior(LogUniform(), 3, 4)) == "Prior(fc.weight ~ LogUniform, shape=(3, 4))"


def test_entries_that_do_not_count() -> None:
    given = prior(dist.Normal(0.0, 1.0), 2, 2)
    given.counted = torch.tensor([[True, False], [True, True]])
    value = torch.ones(2, 2)

    wanted = 3 * dist.Normal(0.0, 1.0).log_prob(torch.tensor(1.0))
    torch.testing.assert_close(given.law.log_prob(value), wanted)
    assert given.law.event_shape == (2, 2) and "counted" not in given.state_dict()
