import math

import pytest
import torch

from pyro_sparse.distributions import MixtureGate, TruncatedExponential, UniformExponential


def test_density_by_hand() -> None:
    rate, z = torch.tensor(5.0).double(), torch.tensor([0.0, 0.3, 1.0]).double()
    law = UniformExponential(rate, 0.2)

    expected = 0.8 * TruncatedExponential(rate).log_prob(z).exp() + 0.2
    torch.testing.assert_close(law.log_prob(z).exp(), expected)


def test_default_share() -> None:
    assert UniformExponential(10.0).uniform.item() == pytest.approx(0.05)


@pytest.mark.parametrize("share", [1e-6, 0.5, 1 - 1e-6])
@pytest.mark.parametrize("rate", [0.5, 100.0])
def test_single_precision_at_extreme_shares(share: float, rate: float) -> None:
    logits = torch.tensor([1e-6, 0.5, 1 - 1e-6]).logit().requires_grad_()
    one, two = (torch.tensor(x, requires_grad=True) for x in (rate, share))
    gate = MixtureGate(logits=logits, off=UniformExponential(one, two))

    for output in (gate.rsample((10_000,)), gate.mean, gate.icdf(torch.linspace(0, 1, 3))):
        gradients = torch.autograd.grad(output.sum(), [logits, one, two])
        assert output.isfinite().all()
        assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0,), "rate > 0, got 0"),
        ((math.nan,), "rate > 0, got nan"),
        ((1.0, 0.0), r"uniform in \(0, 1\), got 0"),
        ((1.0, 1.0), r"uniform in \(0, 1\), got 1"),
        ((torch.ones(2), torch.full((3,), 0.5)), r"rate \(2,\), uniform \(3,\)"),
    ],
)
def test_bad_input(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UniformExponential(*arguments)


def test_values_outside() -> None:
    law = UniformExponential(8.0, validate_args=True)

    with pytest.raises(ValueError, match="within the support"):
        law.log_prob(torch.tensor(2.0))
    assert law.cdf(torch.tensor([-1.0, 2.0])).tolist() == [0.0, 1.0]
