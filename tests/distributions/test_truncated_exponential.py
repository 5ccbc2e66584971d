import math

import pytest
import torch

from pyro_sparse.distributions import TruncatedExponential


def test_density_by_hand() -> None:
    law = TruncatedExponential(torch.tensor(2.0).double())
    z = torch.tensor([0.0, 0.5, 1.0]).double()

    expected = 2 * torch.exp(-2 * z) / (1 - math.exp(-2))
    torch.testing.assert_close(law.log_prob(z).exp(), expected)


@pytest.mark.parametrize("rate", [0.1, 8.0, 100.0])
def test_single_precision(rate: float) -> None:
    heat = torch.tensor(rate, requires_grad=True)
    law = TruncatedExponential(heat)
    outputs = [law.rsample((10_000,)), law.mean, law.variance, law.cdf(torch.linspace(0, 1, 11))]

    for output in outputs:
        (gradient,) = torch.autograd.grad(output.sum(), heat)
        assert output.isfinite().all()
        assert gradient.isfinite()


@pytest.mark.parametrize("rate", [0.0, -1.0, math.inf, math.nan])
def test_bad_rate(rate: float) -> None:
    with pytest.raises(ValueError, match="TruncatedExponential needs a finite rate > 0, got"):
        TruncatedExponential(rate)
