import torch

from pyro_sparse.testing import FAILURE_RATE, kolmogorov, two_sided
from pyro_sparse.testing.statistics import independent
from tests.common import TEST_FAILURE_RATE


def test_one_failure_rate_for_the_suite() -> None:
    assert FAILURE_RATE == TEST_FAILURE_RATE


def test_kolmogorov_tells_uniform_from_not() -> None:
    uniforms = torch.rand(10_000, 3, dtype=torch.float64)

    assert kolmogorov(uniforms) > FAILURE_RATE
    assert kolmogorov(uniforms**1.1) < FAILURE_RATE


def test_kolmogorov_p_values_are_uniform() -> None:
    p = torch.stack([kolmogorov(torch.rand(1000)) for _ in range(500)])

    assert kolmogorov(p.unsqueeze(-1)) > FAILURE_RATE


def test_two_sided_tells_a_wrong_mean() -> None:
    draws = torch.randn(10_000, 2, dtype=torch.float64)

    assert two_sided(draws, torch.zeros(2)) > FAILURE_RATE
    assert two_sided(draws, torch.tensor([0.0, 0.1])) < FAILURE_RATE


def test_two_sided_without_spread() -> None:
    assert two_sided(torch.ones(5, 1), torch.ones(1)) == 1
    assert two_sided(torch.ones(5, 1), torch.zeros(1)) == 0


def test_independent_tells_shared_noise() -> None:
    uniforms = torch.rand(10_000, 2, 3, dtype=torch.float64)
    rows, columns = uniforms[:, :1].expand(-1, 2, 3), uniforms[:, :, :1].expand(-1, 2, 3)

    assert independent(uniforms) > FAILURE_RATE
    for shared in (rows, columns, 0.9 * uniforms + 0.1 * columns):
        assert independent(shared) < FAILURE_RATE


def test_independent_p_values_are_not_too_small() -> None:
    """Corrected for three pairs, they are at least as large as uniform ones."""
    p = torch.stack([independent(torch.rand(500, 2, 2, 2)) for _ in range(500)])

    assert (p < 0.1).float().mean() < 0.16
    assert (p < 0.1).any()


def test_one_entry_has_no_neighbours() -> None:
    assert independent(torch.zeros(100)) == 1
    assert independent(torch.zeros(100, 1, 1)) == 1
