import pytest
import torch

from pyro_sparse.graph.attend import Attend


@pytest.mark.parametrize("batch_first", [True, False])
def test_heads_attend_by_themselves(batch_first: bool) -> None:
    attend = Attend(3, batch_first=batch_first)
    q, k, v = torch.randn(4, 2, 6), torch.randn(4, 2, 6), torch.randn(4, 2, 6)

    found = attend(q, k, v)

    one = Attend(1, batch_first=batch_first)
    heads = [one(*(x[..., 2 * h : 2 * h + 2] for x in (q, k, v))) for h in range(3)]
    torch.testing.assert_close(found, torch.cat(heads, -1))
    assert not torch.allclose(found, one(q, k, v))


def test_equal_values_are_their_own_average() -> None:
    v = torch.randn(6).expand(2, 4, 6)

    found = Attend(2, batch_first=True)(torch.randn(2, 4, 6), torch.randn(2, 4, 6), v)

    torch.testing.assert_close(found, v)


def test_masks_of_both_kinds_add_up() -> None:
    attend = Attend(1, batch_first=True)
    q, k, v = torch.randn(2, 3, 4), torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    later = torch.ones(3, 3, dtype=torch.bool).triu(1)
    padding = torch.tensor([[0.0, 0.0, -torch.inf], [0.0, -torch.inf, 0.0]])

    found = attend(q, k, v, padding, later)

    logits = q @ k.mT / 2
    logits = logits.masked_fill(later, -torch.inf) + padding[:, None]
    torch.testing.assert_close(found, logits.softmax(-1) @ v)


def test_it_says_how_many_heads_it_has() -> None:
    assert str(Attend(3, 0.1)) == "Attend(num_heads=3, dropout=0.1)"
