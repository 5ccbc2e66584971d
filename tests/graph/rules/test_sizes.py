from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tests.prune.nets import compacted, widths, zero


class Sized(nn.Module):
    """Something that reads the size of what lies between two layers."""

    def __init__(self, use: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.last = nn.Linear(4, 2)
        self.use = use

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.use(self.first(x)))


@pytest.mark.parametrize(
    ("use", "left"),
    [
        (lambda x: x * x.size(0), 3),
        (lambda x: x * x.shape[-2], 3),
        (lambda x: x.view(x.size(0), x.size(1)), 3),
        (lambda x: x.view(x.size(0), x.shape[-1] * 1), 3),
        (lambda x: x * x.size(1), 4),
        (lambda x: x / x.shape[-1], 4),
        (lambda x: x + (x.shape[1] + 1), 4),
        (lambda x: x + torch.ones(x.shape), 4),
    ],
)
def test_the_number_of_units_may_only_decide_a_reshape(
    use: Callable[[Tensor], Tensor], left: int
) -> None:
    net = Sized(use)
    zero(net.first.weight, [1])

    assert widths(compacted(net, torch.randn(5, 3)))["first"] == (3, left)
