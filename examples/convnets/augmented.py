"""Batches of shifted and mirrored images, made where the images lie."""

__all__ = ["Augmented", "batches"]

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler

from examples.convnets.data import Images

PIXELS, PAD = 32, 4


class Augmented(Dataset):
    """Batches of images shifted by up to four pixels and mirrored, as is usual for CIFAR.

    A whole batch is cut out of the padded images at once, on their own device.

    Args:
        images: The images.
        channels_last: Whether colours lie side by side in memory, as GPUs like it.
    """

    def __init__(self, images: Images, channels_last: bool = False) -> None:
        self.images = images
        self.padded = F.pad(images.x, (PAD,) * 4)
        self.layout = torch.channels_last if channels_last else torch.contiguous_format

    def __len__(self) -> int:
        return len(self.images.y)

    def __getitem__(self, index: list[int]) -> tuple[Tensor, Tensor]:
        chosen = torch.tensor(index, device=self.padded.device)
        rows, columns = self._places(len(chosen)), self._places(len(chosen))
        mirrored = torch.rand(len(chosen), 1, device=chosen.device) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)

        colours = torch.arange(3, device=chosen.device)[:, None, None]
        pixels = self.padded[
            chosen[:, None, None, None], colours, rows[:, None, :, None], columns[:, None, None]
        ]
        x = self.images.standardised(pixels).contiguous(memory_format=self.layout)
        return x, self.images.y[chosen]

    def _places(self, count: int) -> Tensor:
        """Where a window begins in the padded image, and what it covers."""
        device = self.padded.device
        return torch.randint(2 * PAD + 1, (count, 1), device=device) + torch.arange(
            PIXELS, device=device
        )


def batches(images: Images, size: int, channels_last: bool = False) -> DataLoader:
    """Augmented batches in a new order each epoch; what is left over at its end is left out.

    Args:
        images: The images.
        size: Images in a batch.
        channels_last: As of `Augmented`.
    """
    data = Augmented(images, channels_last)
    order = BatchSampler(RandomSampler(data), min(size, len(data)), drop_last=True)
    return DataLoader(data, sampler=order, batch_size=None)
