import pytest
import torch

from pyro_sparse.testing.assertions import (
    assert_close,
    assert_likely,
    assert_shape,
    assert_within,
)

PAIR = torch.tensor([0.0, 2.0])


def test_shapes() -> None:
    assert_shape("a draw", torch.Size([2]), (2,))

    with pytest.raises(AssertionError, match=r"a draw has shape \(2,\), expected \(3, 2\)"):
        assert_shape("a draw", torch.Size([2]), (3, 2))


def test_numbers() -> None:
    assert_close("a = b", PAIR, PAIR + 0.1, rtol=0, atol=0.2)

    with pytest.raises(AssertionError, match=r'(?s)not true: "a = b".*difference: 0.5'):
        assert_close("a = b", PAIR, PAIR + torch.tensor([0.0, 0.5]))


def test_intervals() -> None:
    assert_within("a share", PAIR, 0, 2)

    with pytest.raises(AssertionError, match=r"a share is 2, not in \[0, 1\]"):
        assert_within("a share", PAIR, 0, 1)


def test_p_values() -> None:
    assert_likely(torch.tensor(0.3), "it rains")

    with pytest.raises(AssertionError, match=r"it rains \(p-value 1e-06, must exceed 2e-05\)"):
        assert_likely(torch.tensor(1e-6), "it rains")
