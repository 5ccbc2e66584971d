"""Images that a network did not learn from."""

import torch

from examples.support.shifts import noisy, photographs, rotated


def test_a_quarter_turn_is_exact() -> None:
    images = torch.rand(3, 8, 8)

    torch.testing.assert_close(rotated(images, 90), images.rot90(1, (1, 2)), rtol=0, atol=1e-5)
    torch.testing.assert_close(rotated(images, 0), images, rtol=0, atol=1e-5)


def test_what_comes_into_view_is_black() -> None:
    assert (rotated(torch.ones(1, 8, 8), 45)[0, 0] < 1).any()


def test_noise_stays_in_range() -> None:
    images = torch.full((200, 8, 8), 0.5)
    found = noisy(images, 0.1)

    assert ((found >= 0) & (found <= 1)).all()
    torch.testing.assert_close(found.std(), torch.tensor(0.1), rtol=0.05, atol=0)


def test_photographs_span_the_range() -> None:
    squares = photographs(8)

    assert len(squares) > 400 and squares.shape[1:] == (8, 8)
    assert (squares.amin((1, 2)) == 0).all() and (squares.amax((1, 2)) == 1).all()
