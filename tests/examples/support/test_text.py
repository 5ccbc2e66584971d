import torch

from examples.support.text import ALPHABET, TEXT, characters


def test_labels_are_the_next_characters() -> None:
    data = characters(seed=0, length=64)

    torch.testing.assert_close(data.x[:, 1:], data.y[:, :-1])
    piece = "".join(ALPHABET[number] for number in [*data.x_test[0].tolist(), data.y_test[0, -1]])
    assert piece in TEXT


def test_a_tenth_is_held_out() -> None:
    data = characters(seed=0, length=64)
    other = characters(seed=1, length=64)

    whole = len(data.x) + len(data.x_test)
    assert len(data.x_test) == whole // 10 and whole == (len(TEXT) - 1) // 64
    assert not torch.equal(data.x_test, other.x_test)
