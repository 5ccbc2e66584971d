import pytest
import torch

from pyro_sparse.special import gauss_legendre


@pytest.mark.parametrize("count", [1, 2, 5, 32, 64])
def test_exact_for_polynomials(count: int) -> None:
    nodes, weights = gauss_legendre(count, dtype=torch.float64)

    for degree in range(2 * count):
        integral = (weights * nodes**degree).sum()
        torch.testing.assert_close(
            integral, torch.tensor(1 / (degree + 1)).double(), rtol=0, atol=1e-7
        )


def test_nodes_lie_inside_and_weights_sum_to_one() -> None:
    nodes, weights = gauss_legendre(64)

    assert nodes.dtype == torch.float32
    assert ((nodes > 0) & (nodes < 1)).all()
    assert (weights > 0).all()
    torch.testing.assert_close(weights.sum(), torch.tensor(1.0))
