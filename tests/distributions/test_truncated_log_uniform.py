import math

import pytest
import torch

from pyro_sparse.distributions import TruncatedLogUniform


def test_logarithm_is_uniform() -> None:
    law = TruncatedLogUniform(-2.0, 1.0)
    theta = torch.tensor([-1.5, 0.0, 0.9]).exp()

    torch.testing.assert_close(law.log_prob(theta), -theta.log() - math.log(3))
    torch.testing.assert_close(law.cdf(theta), (theta.log() + 2) / 3)


def test_moments() -> None:
    law = TruncatedLogUniform(-2.0, 0.0)

    assert law.mean.item() == pytest.approx((1 - math.exp(-2)) / 2)
    assert law.variance.item() == pytest.approx((1 - math.exp(-4)) / 4 - law.mean.item() ** 2)


@pytest.mark.parametrize("ends", [(0.0, 0.0), (1.0, 0.0), (-math.inf, 0.0)])
def test_bad_ends(ends: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="finite low < high, got"):
        TruncatedLogUniform(*ends)


def test_variance_of_a_narrow_law_and_values_below() -> None:
    law = TruncatedLogUniform(-1e-3, 0.0)

    assert law.variance.item() == pytest.approx(1e-6 / 12, rel=1e-3)
    assert law.cdf(torch.tensor(-1.0)) == 0
