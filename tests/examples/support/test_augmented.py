"""Augmentation: every batch is made of windows of the padded images, some of them mirrored."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from examples.support.augmented import Augmented, batches


def images(count: int = 6) -> tuple[Tensor, Tensor]:
    return torch.randint(1, 256, (count, 3, 32, 24), dtype=torch.uint8), torch.arange(count)


def windows(image: Tensor, shift: int, mirror: bool) -> list[Tensor]:
    padded = F.pad(image, (shift,) * 4)
    places = range(2 * shift + 1)
    cuts = [padded[:, r : r + 32, c : c + 24] for r in places for c in places]
    return cuts + [cut.flip(-1) for cut in cuts] * mirror


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("shift", [0, 1, 4])
def test_an_image_becomes_one_of_its_windows(shift: int, mirror: bool) -> None:
    pixels, labels = images()

    x, y = Augmented(pixels, labels, shift, mirror)[[4, 1] * 5]

    assert y.tolist() == [4, 1] * 5
    for image, label in zip(x, y, strict=True):
        assert any(torch.equal(image, cut) for cut in windows(pixels[label], shift, mirror))


def test_all_windows_come_equally_often() -> None:
    pixels = torch.zeros(1, 1, 32, 32)
    pixels[0, 0, 16, 10] = 1
    draws = 20_000

    x, _ = Augmented(pixels, torch.zeros(1), shift=4, mirror=True)[[0] * draws]

    place = x.flatten(1).argmax(1)
    rows = torch.bincount(place // 32 - 12, minlength=9) / draws
    torch.testing.assert_close(rows, torch.full((9,), 1 / 9), atol=0.02, rtol=0)
    # column 10 is left of the middle unless mirrored
    assert abs((place % 32 < 16).double().mean() - 0.5) < 0.03


def test_an_epoch_sees_images_once_and_leaves_out_the_rest() -> None:
    loader = batches(Augmented(*images(10), shift=1), size=4)

    labels = [y for _, y in loader]

    assert len(loader) == 2
    assert [len(y) for y in labels] == [4, 4]
    assert len(torch.cat(labels).unique()) == 8


def test_a_batch_is_prepared_at_the_end() -> None:
    pixels, labels = images()

    x, _ = Augmented(pixels, labels, shift=0, prepare=lambda batch: batch / 2.0)[[3]]

    assert torch.equal(x, pixels[[3]] / 2.0)
