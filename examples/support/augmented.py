"""Batches of shifted and mirrored images, made where the images lie."""

__all__ = ["Augmented", "batches"]

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler


class Augmented(Dataset):
    """Batches of images that are shifted, each time anew.

    A whole batch is cut out of the padded images at once, on their own device.

    Args:
        x: Images `(N, C, H, W)`, whose background is 0.
        y: Labels `(N,)`.
        shift: By how many pixels at most, up or down and left or right.
        mirror: Whether half of the images are mirrored, too.
        prepare: What is done to the images of a batch in the end.
    """

    def __init__(
        self,
        x: Tensor,
        y: Tensor,
        shift: int,
        mirror: bool = False,
        prepare: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.padded = F.pad(x, (shift,) * 4)
        self.y = y
        self.shift, self.mirror, self.prepare = shift, mirror, prepare
        self.colours, self.height, self.width = x.shape[1:]

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: list[int]) -> tuple[Tensor, Tensor]:
        chosen = torch.tensor(index, device=self.padded.device)
        rows, columns = (
            self._places(len(chosen), self.height),
            self._places(len(chosen), self.width),
        )
        if self.mirror:
            mirrored = torch.rand(len(chosen), 1, device=chosen.device) < 0.5
            columns = torch.where(mirrored, columns.flip(1), columns)

        colours = torch.arange(self.colours, device=chosen.device)[:, None, None]
        x = self.padded[
            chosen[:, None, None, None], colours, rows[:, None, :, None], columns[:, None, None]
        ]
        return x if self.prepare is None else self.prepare(x), self.y[chosen]

    def _places(self, count: int, length: int) -> Tensor:
        """Where a window begins in the padded image, and what it covers."""
        device = self.padded.device
        begin = torch.randint(2 * self.shift + 1, (count, 1), device=device)
        return begin + torch.arange(length, device=device)


def batches(data: Augmented, size: int) -> DataLoader:
    """Augmented batches in a new order each epoch; what is left over at its end is left out.

    Args:
        data: The images.
        size: Images in a batch.
    """
    order = BatchSampler(RandomSampler(data), min(size, len(data)), drop_last=True)
    return DataLoader(data, sampler=order, batch_size=None)
