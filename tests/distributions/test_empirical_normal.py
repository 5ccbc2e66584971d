import pytest
import torch
from pyro.distributions import Normal

from pyro_sparse.distributions import EmpiricalNormal

SQUARE = torch.tensor([[1.0, 3.0], [5.0, 7.0], [0.0, 2.0]])


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ((), SQUARE.tolist()),
        (-1, [[2.0], [6.0], [1.0]]),
        (-2, [[2.0, 4.0]]),
        ((-2, -1), [[3.0]]),
    ],
)
def test_one_variance_for_each_group(groups: int | tuple[int, ...], expected: list) -> None:
    assert EmpiricalNormal(groups).best_variance(SQUARE).tolist() == expected


def test_filters_of_a_convolution() -> None:
    square = torch.arange(2.0 * 3 * 2 * 2).reshape(2, 3, 2, 2)
    variance = EmpiricalNormal((-3, -2, -1)).best_variance(square)

    assert variance.shape == (2, 1, 1, 1)
    assert variance.flatten().tolist() == [5.5, 17.5]


def test_weights_count_in_part() -> None:
    weights = torch.tensor([[1.0], [0.5], [0.0]])
    prior = EmpiricalNormal(-2)

    expected = torch.tensor([[3.5 / 1.5, 6.5 / 1.5]])
    torch.testing.assert_close(prior.best_variance(SQUARE, weights), expected)
    assert prior.best_variance(SQUARE, torch.zeros(3, 1)).tolist() == [[2.0, 4.0]]


def test_density_is_the_profile() -> None:
    value = torch.tensor([[1.0, 1.0], [3.0, 4.0]])
    variance = torch.tensor([[1.0], [12.5]])

    expected = Normal(0.0, variance.sqrt()).log_prob(value)
    torch.testing.assert_close(EmpiricalNormal(-1).log_prob(value), expected)
    assert EmpiricalNormal().log_prob(torch.zeros(2)).isfinite().all()


def test_samples_are_refused_with_a_way_out() -> None:
    with pytest.raises(TypeError, match="fits its variance to the posterior"):
        EmpiricalNormal().sample()


def test_expand_keeps_the_groups() -> None:
    assert EmpiricalNormal(-1).expand((3, 2)).groups == (-1,)


@pytest.mark.parametrize("groups", [0, (1,), (-1, -1)])
def test_bad_groups(groups: int | tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="different negative dimensions, got"):
        EmpiricalNormal(groups)


def test_groups_beyond_the_weight() -> None:
    with pytest.raises(ValueError, match=r"groups \(-3,\), which a weight of shape \(3, 2\)"):
        EmpiricalNormal(-3).best_variance(SQUARE)
