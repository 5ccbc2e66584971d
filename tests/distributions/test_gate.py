import pytest
import torch
from pyro.distributions import Delta, Normal
from torch import Tensor

from pyro_sparse.distributions import Gate, HardConcrete, HardNormal, MixtureGate, PowerFunction
from pyro_sparse.distributions.checks import Shape
from pyro_sparse.distributions.gate import has_atoms


class Coin(Gate):
    """A gate that knows its probability but not its log odds."""

    has_atoms = True

    def __init__(self, prob: Tensor) -> None:
        self.prob = prob
        super().__init__(prob.shape, validate_args=False)

    @property
    def prob_active(self) -> Tensor:
        return self.prob

    @property
    def deterministic(self) -> Tensor:
        return self.prob.round()

    @property
    def mean(self) -> Tensor:
        return self.prob

    def cdf(self, value: Tensor) -> Tensor:
        return torch.where(value >= 1, torch.ones_like(self.prob), 1 - self.prob)

    def log_prob(self, value: Tensor) -> Tensor:
        return torch.where(value == 1, self.prob, 1 - self.prob).log()

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        return torch.bernoulli(self.prob.expand(self._extended_shape(sample_shape)))

    def expand(self, batch_shape: Shape, _instance: object = None) -> "Coin":
        return Coin(self.prob.expand(batch_shape))


def test_a_gate_without_its_contract_cannot_be_built() -> None:
    class Half(Gate):
        has_atoms = True

    with pytest.raises(TypeError, match="abstract"):
        Half()


def test_log_odds_come_from_the_probability() -> None:
    prob = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)

    torch.testing.assert_close(Coin(prob).active_logits, prob.logit())


def test_log_odds_and_their_gradients_are_finite_at_both_ends() -> None:
    prob = torch.tensor([0.0, 1e-30, 1.0], requires_grad=True)
    logits = Coin(prob).active_logits
    (gradient,) = torch.autograd.grad(logits.sum(), prob)

    assert logits.isfinite().all()
    assert gradient.isfinite().all()


@pytest.mark.parametrize(
    "gate",
    [
        HardConcrete(logits=torch.zeros(3)),
        MixtureGate(logits=torch.zeros(3), off=PowerFunction(10.0)),
        HardNormal(torch.zeros(3)),
    ],
    ids=lambda gate: type(gate).__name__,
)
def test_draws_can_be_vectorised(gate: Gate) -> None:
    draws = torch.vmap(lambda _: gate.rsample(), randomness="different")(torch.zeros(50))

    assert draws.shape == (50, 3)
    assert draws.unique().numel() > 10


def test_atoms_are_seen_through_wrappers() -> None:
    gate = HardConcrete(logits=torch.zeros(2, 3))

    assert has_atoms(gate)
    assert has_atoms(gate.to_event(1).mask(torch.tensor(True)))
    assert not has_atoms(Normal(torch.zeros(2), 1.0).to_event(1))
    assert not has_atoms(Delta(torch.zeros(2)))
