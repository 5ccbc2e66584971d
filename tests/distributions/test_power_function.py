import math

import pytest
import torch

from pyro_sparse.distributions import PowerFunction


def test_density_by_hand() -> None:
    law = PowerFunction(torch.tensor(4.0).double())
    z = torch.tensor([0.1, 1.0]).double()

    torch.testing.assert_close(law.log_prob(z).exp(), 0.25 * z**-0.75)
    torch.testing.assert_close(law.cdf(z), z**0.25)


def test_exponent_one_is_uniform() -> None:
    law = PowerFunction(1.0)

    assert law.log_prob(torch.tensor([0.0, 0.5, 1.0])).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("beta", [0.0, -2.0, math.inf, math.nan])
def test_bad_exponent(beta: float) -> None:
    with pytest.raises(ValueError, match="PowerFunction needs a finite beta > 0, got"):
        PowerFunction(beta)


def test_values_outside() -> None:
    law = PowerFunction(20.0, validate_args=True)

    with pytest.raises(ValueError, match="within the support"):
        law.log_prob(torch.tensor(2.0))
    assert law.cdf(torch.tensor([-1.0, 2.0])).tolist() == [0.0, 1.0]


def test_variance_of_a_narrow_law() -> None:
    beta = 1e-3

    assert PowerFunction(beta).variance.item() == pytest.approx(
        beta**2 / ((1 + 2 * beta) * (1 + beta) ** 2), rel=1e-5
    )
