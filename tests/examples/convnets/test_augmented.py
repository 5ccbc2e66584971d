"""Augmentation: every batch is made of windows of the padded images, some of them mirrored."""

import torch
import torch.nn.functional as F

from examples.convnets.augmented import Augmented, batches
from examples.convnets.data import Images


def images(count: int = 6) -> Images:
    x = torch.randint(1, 256, (count, 3, 32, 32), dtype=torch.uint8)
    y = torch.arange(count)
    zero, one = torch.zeros(3, 1, 1), torch.ones(3, 1, 1)
    return Images("random", 10, x, y, x, y, zero, one)


def windows(image: torch.Tensor) -> list[torch.Tensor]:
    padded = F.pad(image, (4, 4, 4, 4)).float()
    cuts = [padded[:, r : r + 32, c : c + 32] for r in range(9) for c in range(9)]
    return cuts + [cut.flip(-1) for cut in cuts]


def test_an_image_becomes_one_of_its_windows_or_their_mirror_images() -> None:
    data = images()

    x, y = Augmented(data)[[4, 1]]

    assert y.tolist() == [4, 1]
    for image, label in zip(x, y, strict=True):
        assert any(torch.equal(image, window) for window in windows(data.x[label]))


def test_all_windows_come_equally_often() -> None:
    data = images(1)
    data.x.zero_()
    data.x[0, 0, 16, 10] = 1
    draws = 20_000

    x, _ = Augmented(data)[[0] * draws]

    place = x[:, 0].flatten(1).argmax(1)
    rows = torch.bincount(place // 32 - 12, minlength=9) / draws
    torch.testing.assert_close(rows, torch.full((9,), 1 / 9), atol=0.02, rtol=0)
    # column 10 is left of the middle unless mirrored
    assert abs((place % 32 < 16).double().mean() - 0.5) < 0.03


def test_an_epoch_sees_images_once_and_leaves_out_the_rest() -> None:
    loader = batches(images(10), size=4)

    labels = [y for _, y in loader]

    assert len(loader) == 2
    assert [len(y) for y in labels] == [4, 4]
    assert len(torch.cat(labels).unique()) == 8


def test_colours_may_lie_side_by_side() -> None:
    x, _ = Augmented(images(), channels_last=True)[[0, 1]]

    assert x.is_contiguous(memory_format=torch.channels_last)
