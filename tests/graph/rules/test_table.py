import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.prune.nets import compacted, widths, zero


class Mean(nn.Module):
    def __init__(self, **options: float) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 5, **options)  # type: ignore[arg-type]
        self.last = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.embed(x))


class Functional(Mean):
    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.embedding(x, self.embed.weight))


def test_columns_of_a_table() -> None:
    for kind in (Mean, Functional):
        net = kind()
        zero(net.embed.weight, slice(None), [0])
        nn.init.constant_(net.embed.weight[:, 1], 0.5)
        zero(net.last.weight, slice(None), [2])

        smaller = compacted(net, torch.randint(7, (4, 3)))

        assert smaller.get_parameter("embed.weight").shape == (7, 2)
        assert smaller.plan.cuts["embed.weight"].index == [3, 4]
        assert widths(smaller) == {"last": (2, 2)}


def test_a_table_that_changes_when_read_is_left_alone() -> None:
    net = Mean(max_norm=1.0)
    zero(net.embed.weight, slice(None), [0])

    assert widths(compacted(net, torch.randint(7, (4, 3)))) == {"last": (5, 2)}
