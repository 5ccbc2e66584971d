"""Compact networks train as the original does, whichever way it was followed."""

import pickle
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyro_sparse.prune import compact
from tests.prune.nets import compacted, zero


class Trained(nn.Module):
    """A norm, dropout as a module inside a branch, and dropout as a function."""

    def __init__(self, asking: bool) -> None:
        super().__init__()
        self.first = nn.Linear(3, 6)
        self.branch = nn.Sequential(nn.BatchNorm1d(6), nn.Sequential(nn.Dropout(0.3)))
        self.dropout = nn.Identity()
        self.last = nn.Linear(6, 2)
        self.asking = asking

    def forward(self, x: Tensor) -> Tensor:
        if self.asking and x.shape[1] != 3:
            raise ValueError("three features, please")
        h = self.branch(self.first(x)).relu()
        return self.last(F.dropout(h, 0.5, self.training))


@pytest.mark.parametrize("asking", [True, False])
def test_modes_are_followed(asking: bool) -> None:
    net = Trained(asking)
    zero(net.last.weight, slice(None), [0, 1])
    x = torch.randn(64, 3)
    smaller: Any = compacted(net, x)
    smaller = pickle.loads(pickle.dumps(smaller))

    assert smaller(x).equal(smaller(x))
    smaller.train()

    assert not smaller(x).equal(smaller(x))
    dropouts = [m.p for m in smaller.modules() if isinstance(m, nn.Dropout)]
    assert dropouts == [0.3, 0.5]
    norm = smaller.get_submodule("branch.0")
    assert isinstance(norm, nn.BatchNorm1d) and norm.num_features == 4
    assert norm.num_batches_tracked == 2


def test_modules_keep_their_own_modes() -> None:
    net = Trained(asking=True).train()
    net.branch.eval()
    zero(net.last.weight, slice(None), [0])

    smaller = compact(net, torch.randn(4, 3))

    assert not smaller.get_submodule("branch.0").training
    assert [m.training for m in smaller.modules() if isinstance(m, nn.Dropout)] == [False, True]
