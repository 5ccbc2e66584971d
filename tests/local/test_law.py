"""`Local`: a wrapper that changes when a sample is drawn, and nothing of its law."""

import copy
import pickle
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import kl_divergence

import pyro_sparse
from pyro_sparse import Local
from pyro_sparse.distributions import L0, L2, HardConcrete, LogUniform
from pyro_sparse.local import Deferred, peel


def test_it_is_the_front_door() -> None:
    assert pyro_sparse.Local is Local


def test_role_follows_from_the_law() -> None:
    gate, normal = HardConcrete(logits=torch.zeros(3)), dist.Normal(torch.zeros(3), 1.0)

    assert Local(gate).role == "gate"
    assert Local(gate.to_event(1)).role == "gate"
    assert Local(normal).role == "weight"
    assert Local(normal, role="gate").role == "gate"


def test_a_normal_gate_is_drawn_per_example() -> None:
    law, x = dist.Normal(torch.ones(4), 0.1), torch.ones(6, 4)

    gated = x * Local(law, role="gate").rsample() + 0

    assert gated.unique().numel() == 24


def test_a_gate_in_the_role_of_a_weight_is_one_number() -> None:
    law, x = HardConcrete(logits=torch.zeros(4)), torch.ones(6, 4)

    gated = x * Local(law, role="weight").rsample() + 0

    assert (gated == gated[0]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"role": "input"}, "The role of a Local law is 'weight' or 'gate', got 'input'"),
        ({"batch_dim": -1}, "batch_dim counts from the left and is at least 0, got -1"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Local(dist.Normal(0.0, 1.0), **arguments)


@pytest.mark.parametrize("law", [dist.Bernoulli(0.5), LogUniform(), L0(1.0)])
def test_laws_without_reparameterised_samples_are_refused(law: Any) -> None:
    with pytest.raises(ValueError, match=rf"rsample, got {type(law).__name__}.*without Local"):
        Local(law)


def test_what_is_no_law_is_refused() -> None:
    with pytest.raises(TypeError, match="law"):
        Local(torch.zeros(3))  # type: ignore[arg-type]


def test_the_law_shows() -> None:
    base = dist.Normal(torch.zeros(3), torch.full((3,), 2.0))
    law, value = Local(base), torch.randn(3)

    assert law.batch_shape == (3,) and law.event_shape == ()
    assert law.support is base.support
    for name in ("mean", "variance"):
        torch.testing.assert_close(getattr(law, name), getattr(base, name))
    torch.testing.assert_close(law.log_prob(value), base.log_prob(value))
    torch.testing.assert_close(law.entropy(), base.entropy())
    assert repr(law) == f"Local({base}, role='weight')"


def test_wrappers_of_pyro() -> None:
    law = Local(dist.Normal(torch.zeros(4), 1.0), shared=True, batch_dim=2).expand((3, 4))
    event = law.to_event(2)

    assert (law.shared, law.batch_dim, law.batch_shape) == (True, 2, (3, 4))
    assert event.event_shape == (3, 4)
    assert event.log_prob(torch.zeros(3, 4)).shape == ()
    assert isinstance(Local(dist.Normal(torch.zeros(4), 1.0)).mask(False).rsample(), Deferred)


def test_pickle_and_copy() -> None:
    law: Any = Local(HardConcrete(logits=torch.tensor([0.3])), batch_dim=1)

    for other in (pickle.loads(pickle.dumps(law)), copy.deepcopy(law)):
        assert (other.role, other.batch_dim) == ("gate", 1)
        torch.testing.assert_close(other.law.logits, law.law.logits)


def test_shapes_of_samples() -> None:
    law = Local(dist.Normal(torch.zeros(4), 1.0).expand([3, 4]))

    assert law.rsample().shape == law.to_event(2).rsample().shape == (3, 4)
    assert law.rsample(torch.Size([5])).shape == (5, 3, 4)
    assert type(law.rsample(torch.Size([5]))) is Tensor
    assert type(law.sample()) is Tensor
    assert type(Local(dist.Normal(0.0, 1.0), shared=True).rsample()) is Tensor


def test_a_law_of_events_is_one_sample() -> None:
    law = dist.MultivariateNormal(torch.zeros(4), torch.eye(4))
    weight = Local(law).rsample()

    assert weight.shape == (4,)
    torch.testing.assert_close(torch.ones(2, 4) @ weight, torch.ones(2, 4) @ weight.clone())


def test_in_a_pyro_program() -> None:
    with pyro.plate("units", 3):
        weight = pyro.sample("w", Local(dist.Normal(torch.zeros(2, 3), 1.0)).to_event(0))

    assert isinstance(weight, Deferred)
    assert F.linear(torch.zeros(5, 3), weight).shape == (5, 2)


PAIRS = [
    (dist.Normal(torch.ones(3), 0.5), dist.Normal(torch.zeros(3), 1.0)),
    (dist.Normal(torch.ones(3), 0.5), LogUniform().expand([3])),
    (dist.Normal(torch.ones(3), 0.5), L2(torch.full((3,), 2.0))),
    (dist.Delta(torch.ones(3)), L2(torch.full((3,), 2.0))),
    (HardConcrete(logits=torch.zeros(3)), L0(torch.full((3,), 2.0))),
    (HardConcrete(logits=torch.zeros(3)), dist.Bernoulli(torch.full((3,), 0.2))),
    (HardConcrete(logits=torch.zeros(3)), HardConcrete(logits=torch.ones(3))),
]


@pytest.mark.parametrize(("q", "p"), PAIRS, ids=lambda law: type(law).__name__)
def test_divergences_are_those_of_the_law(q: Any, p: Any) -> None:
    wanted = kl_divergence(q, p)

    torch.testing.assert_close(kl_divergence(Local(q), p), wanted)
    torch.testing.assert_close(kl_divergence(Local(q).to_event(1), p.to_event(1)), wanted.sum())
    assert wanted.shape == (3,)


def test_peel() -> None:
    law = dist.Normal(torch.zeros(3, 4), 1.0)

    assert peel(law) is law
    assert peel(law.to_event(1).mask(True)) is law
    assert peel(Local(law.to_event(1)).mask(torch.tensor(True)).to_event(1)) is law
