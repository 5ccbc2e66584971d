import torch
from torch import Tensor, nn

from tests.prune.nets import compacted, widths, zero


class Chunked(nn.Module):
    """Operations nothing is known about, one of them with two results."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.hidden = nn.Linear(4, 6)
        self.last = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        value, order = self.first(x).sort(-1)
        left, right, _ = self.hidden(value * order).chunk(3, -1)
        return self.last(left * right)


def test_unknown_operations_get_their_operands_as_they_were() -> None:
    net = Chunked()
    zero(net.first.weight, [0, 1])
    zero(net.hidden.weight, slice(None), [3])

    # The sorted values arrive whole; what the hidden layer does not read is not gathered.
    found = widths(compacted(net, torch.randn(5, 3)))

    assert found == {"first": (3, 4), "hidden": (3, 6), "last": (2, 2)}
