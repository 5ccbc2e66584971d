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
