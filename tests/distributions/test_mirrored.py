import pytest
import torch
from pyro.distributions import VonMises

from pyro_sparse.distributions import Mirrored, PowerFunction, TruncatedExponential


def test_everything_is_seen_from_the_other_end() -> None:
    law = TruncatedExponential(torch.tensor(3.0).double())
    mirrored = Mirrored(law)
    z = torch.tensor([0.1, 0.8]).double()

    torch.testing.assert_close(mirrored.log_prob(z), law.log_prob(1 - z))
    torch.testing.assert_close(mirrored.cdf(z), 1 - law.cdf(1 - z))
    torch.testing.assert_close(mirrored.icdf(mirrored.cdf(z)), z)
    torch.testing.assert_close(mirrored.mean, 1 - law.mean)
    torch.testing.assert_close(mirrored.variance, law.variance)


def test_samples_carry_the_gradient_of_the_law() -> None:
    beta = torch.tensor(2.0, requires_grad=True)
    (gradient,) = torch.autograd.grad(Mirrored(PowerFunction(beta)).rsample((1000,)).sum(), beta)

    assert gradient > 0


def test_a_law_without_a_cdf_is_named() -> None:
    with pytest.raises(TypeError, match=r"Mirrored needs .* VonMises lacks cdf"):
        Mirrored(VonMises(0.0, 1.0))


def test_values_outside_also_after_expand() -> None:
    law = Mirrored(TruncatedExponential(8.0), validate_args=True)

    for checked in (law, law.expand((3,))):
        with pytest.raises(ValueError, match="within the support"):
            checked.log_prob(torch.tensor(2.0))
