import pytest
import torch

from models.transformer import CharacterModel, SequenceClassifier


def test_shapes() -> None:
    net = SequenceClassifier(5, 7, 3, width=8, heads=2, hidden=16)

    assert net(torch.randn(4, 7, 5)).shape == (4, 3)


@pytest.mark.parametrize("length", [6, 3])
def test_no_character_sees_later_ones(length: int) -> None:
    net = CharacterModel(11, 6, width=8, heads=2, hidden=16)
    x = torch.randint(11, (2, length))
    other = x.clone()
    other[:, -1] = (x[:, -1] + 1) % 11

    before, after = net(x), net(other)

    assert before.shape == (2, length, 11)
    torch.testing.assert_close(before[:, :-1], after[:, :-1])
    assert not torch.allclose(before[:, -1], after[:, -1])
