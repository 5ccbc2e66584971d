"""The size of a network under chances."""

import pytest
import torch

from models.lenet import mlp
from pyro_sparse.distributions import L0, LogUniform
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer.sizes import Sizes
from pyro_sparse.nn import bayesianize
from pyro_sparse.prune import compact, count, expected_macs, freeze

X = torch.randn(2, 6)


def test_expected_multiply_adds() -> None:
    model = bayesianize(mlp(6, 5, 4, 3), gate=L0(1.0))
    guide = AutoSparse(model)
    for parameter in guide.parameters():
        parameter.data.uniform_(-2, 2)

    sizes = Sizes(model, guide, X, "macs")
    expected = torch.stack(list(expected_macs(model, guide, X).values()))

    assert sizes.names == ["fc1", "fc2", "fc3"]
    torch.testing.assert_close(sizes(sizes.expected()), expected)


@pytest.mark.parametrize("kind", ["weights", "macs"])
def test_what_is_kept_is_what_compaction_leaves(kind: str) -> None:
    model = bayesianize(mlp(6, 5, 4, 3), gate=L0(1.0))
    guide = AutoSparse(model)
    for parameter in guide.parameters():
        parameter.data.uniform_(-5, 1)
        parameter.data[0] = 3.0

    sizes = Sizes(model, guide, X, kind)
    small = count(compact(freeze(model, guide), X), X)

    assert sizes(sizes.kept()).sum().item() == getattr(small, kind)


def test_single_weights_are_counted_unless_multiply_adds_are() -> None:
    model = bayesianize(mlp(6, 5, 3), weight=LogUniform())
    guide = AutoSparse(model)
    with torch.no_grad():
        guide.get_parameter("sites.fc1.weight.loc")[0] = 0.0

    weights, macs = (Sizes(model, guide, X, kind) for kind in ("weights", "macs"))

    assert weights(weights.kept()).tolist() == [24.0, 15.0]
    assert macs.kept() == {} and macs(macs.kept()).tolist() == [30.0, 15.0]
    assert weights.sites_of("fc1") == ["fc1.weight"]
