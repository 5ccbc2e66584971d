from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tests.prune.nets import compacted, widths, zero

Move = Callable[[Tensor], Tensor]


class Moved(nn.Module):
    """A convolution, something that moves numbers, a linear layer."""

    def __init__(self, move: Move) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)
        self.fc = nn.LazyLinear(3)
        self.move = move

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.move(self.conv(x)))


def moved(move: Move) -> dict[str, tuple[int, int]]:
    """Widths once channels 1 and 2 are constant."""
    net = Moved(move)
    x = torch.randn(5, 2, 5, 5)
    net(x)
    zero(net.conv.weight, [1, 2])
    smaller = compacted(net, x)

    other = torch.randn(3, 2, 5, 5)
    torch.testing.assert_close(smaller(other), net(other))
    return widths(smaller)


@pytest.mark.parametrize(
    ("move", "features"),
    [
        (lambda x: x.flatten(1), 18),
        (lambda x: x.view(x.size(0), 36), 18),
        (lambda x: x.view(-1, 36), 18),
        (lambda x: x.reshape((x.shape[0], -1)), 18),
        (lambda x: x.view(x.size(0), x.size(1) * x.size(2) * x.size(3)), 18),
        (lambda x: x.view(x.size(0), 4, 9).permute(0, 2, 1), 2),
        (lambda x: x.view(size=(-1, 36)), 18),
        (lambda x: torch.reshape(x, shape=(x.size(0), 4, 9)).transpose(1, 2), 2),
        (lambda x: torch.reshape(input=x, shape=(-1, 36)), 18),
        (lambda x: x.flatten(2).transpose(1, 2), 2),
        (lambda x: x.permute(0, 2, 3, 1), 2),
        (lambda x: x.movedim(1, -1).flatten(1), 18),
        (lambda x: x.mean((2, 3), keepdim=True).squeeze(3).squeeze(2), 2),
        (lambda x: x.permute(0, 2, 3, 1).unsqueeze(1), 2),
        (lambda x: x.mean((2, 3))[..., None, None].flatten(1), 2),
        (lambda x: x[:, None].flatten(1), 18),
        (lambda x: x[..., 0, :].flatten(1), 6),
        (lambda x: x[:, ..., 1:].flatten(1), 12),
    ],
)
def test_units_are_followed(move: Move, features: int) -> None:
    assert moved(move) == {"conv": (2, 2), "fc": (features, 3)}


@pytest.mark.parametrize(
    "move",
    [
        lambda x: x.view(x.size(0), 2, 2, 9).transpose(1, 2).reshape(x.size(0), 36),
        lambda x: x.mean((2, 3), keepdim=True).squeeze(),
        lambda x: x.view(x.size(0), -1, 6),
        lambda x: x.view(x.size(0), 4, 9),
        lambda x: x.view(x.square().shape).flatten(1),
        lambda x: x.chunk(2, 1)[0].flatten(1),
        lambda x: x[:, :3].flatten(1),
        lambda x: x.mean((2, 3))[..., :3],
        lambda x: x[:, None, 1:].flatten(1),
        lambda x: x[None, :, :3].flatten(2).squeeze(0),
    ],
)
def test_units_spread_over_two_axes_or_are_mixed_all_stay(move: Move) -> None:
    assert moved(move)["conv"] == (2, 4)


def test_a_single_channel() -> None:
    net = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Flatten(), nn.Linear(9, 2))
    zero(net[2].weight, slice(None), [0, 1])

    assert widths(compacted(net, torch.randn(2, 1, 5, 5))) == {"0": (1, 1), "2": (7, 2)}
