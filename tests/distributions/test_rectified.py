import pyro
import pytest
import torch
from pyro.distributions import Gumbel, MultivariateNormal, Normal, VonMises
from torch import Tensor

from pyro_sparse.distributions import HardConcrete, Rectified


@pytest.fixture
def gate() -> Rectified:
    return Rectified(Normal(torch.tensor([0.3, 0.8]), torch.tensor([0.5, 0.4])))


def test_atoms_are_the_tails_of_the_base(gate: Rectified) -> None:
    zero, one = gate.base.cdf(torch.tensor(0.0)), 1 - gate.base.cdf(torch.tensor(1.0))

    torch.testing.assert_close(gate.log_prob(torch.zeros(2)).exp(), zero)
    torch.testing.assert_close(gate.log_prob(torch.ones(2)).exp(), one)
    torch.testing.assert_close(gate.prob_active, 1 - zero)
    assert (gate.cdf(torch.ones(2)) == 1).all()
    assert (gate.cdf(torch.zeros(2)) == zero).all()


def test_share_of_exact_zeros_and_ones(gate: Rectified) -> None:
    draws = gate.sample((100_000,))

    torch.testing.assert_close(
        (draws == 0).float().mean(0), 1 - gate.prob_active, rtol=0, atol=0.01
    )
    torch.testing.assert_close(
        (draws == 1).float().mean(0), gate.log_prob_one.exp(), rtol=0, atol=0.01
    )


def test_test_time_gate_is_the_clipped_mean() -> None:
    gate = Rectified(Normal(torch.tensor([-1.0, 0.3, 2.0]), 1.0))

    torch.testing.assert_close(gate.deterministic, torch.tensor([0.0, 0.3, 1.0]))


def test_any_law_with_a_cdf() -> None:
    gate = Rectified(Gumbel(torch.tensor(0.2).double(), 0.5))

    draws = gate.sample((100_000,))
    torch.testing.assert_close(draws.mean(), gate.mean, rtol=0, atol=0.01)


def test_density_outside_the_interval_is_refused(gate: Rectified) -> None:
    with pytest.raises(ValueError, match="support"):
        gate.log_prob(torch.tensor(1.5))


def test_expanded_base_follows_the_default(gate: Rectified) -> None:
    with pyro.validation_enabled(False):
        gate.expand((3, 2)).base.log_prob(torch.tensor(float("nan")))


def test_gradient_of_the_density_does_not_leak_into_the_atoms() -> None:
    logits = torch.tensor([-30.0, 30.0], requires_grad=True)
    gate = HardConcrete(logits=logits)
    (gradient,) = torch.autograd.grad(gate.log_prob(torch.tensor([0.0, 1.0])).sum(), logits)

    assert gradient.isfinite().all()


@pytest.mark.parametrize(
    ("base", "message"),
    [
        (VonMises(0.0, 1.0), "VonMises lacks cdf, rsample"),
        (0.5, "got float"),
    ],
)
def test_a_base_without_a_method_is_named(base: object, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Rectified(base)  # type: ignore[arg-type]


class FlatNormal(MultivariateNormal):
    """A law over vectors that has a cdf of some sort."""

    def cdf(self, value: Tensor) -> Tensor:
        return value.sum(-1)


def test_a_base_with_atoms_or_events_is_refused(gate: Rectified) -> None:
    with pytest.raises(ValueError, match="without atoms"):
        Rectified(gate)
    with pytest.raises(ValueError, match="event dimensions"):
        Rectified(FlatNormal(torch.zeros(2), torch.eye(2)))


def test_an_atom_whose_mass_rounds_to_zero_leaves_gradients_finite() -> None:
    """The cdf of this base is 1 at both ends in single precision."""
    loc = torch.tensor([-3.0, 4.0], requires_grad=True)
    gate = Rectified(Normal(loc, 0.5))

    density = gate.log_prob(torch.full((2,), 0.5))
    (gradient,) = torch.autograd.grad(density.sum(), loc, retain_graph=True)
    torch.testing.assert_close(gradient, (0.5 - loc.detach()) / 0.25)

    assert gate.log_prob_one[0] == gate.log_prob_zero[1] == -torch.inf
    (gradient,) = torch.autograd.grad(gate.log_prob_one[0], loc)
    assert (gradient == 0).all()
