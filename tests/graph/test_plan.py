import json

import pytest
import torch
from torch import nn

from models.lenet import lenet5
from pyro_sparse.graph.plan import Cut, Plan, orient, restore
from tests.prune.nets import compacted, zero


def test_a_cut_of_rows_and_columns() -> None:
    weight = torch.arange(12).reshape(3, 4)

    assert Cut([0, 2], columns=[[1, 3]])(weight).tolist() == [[1, 3], [9, 11]]
    assert Cut([1, 2], dim=1)(weight).tolist() == [[1, 2], [5, 6], [9, 10]]
    assert Cut([2])(weight[:, 0]).tolist() == [8]


def test_a_cut_of_groups_takes_other_columns_in_each() -> None:
    weight = torch.arange(8).reshape(4, 2)

    assert Cut([0, 3], columns=[[1], [0]])(weight).tolist() == [[1], [6]]


@pytest.mark.parametrize("groups", [1, 2, 3])
def test_orient_puts_outputs_first(groups: int) -> None:
    layer = nn.ConvTranspose2d(6, 12, 3, groups=groups)

    oriented = orient(layer.weight, groups)

    assert oriented.shape == (12, 6 // groups, 3, 3)
    assert torch.equal(restore(oriented, groups), layer.weight)
    # Output 0 of the last group sees input 1 of that group through this weight.
    expected = layer.weight[6 - 6 // groups + 1, 0]
    assert torch.equal(oriented[12 - 12 // groups, 1], expected)


def test_plans_survive_json() -> None:
    net = lenet5((4, 6, 9))
    zero(net.get_parameter("conv2.weight"), [1, 2])
    zero(net.get_parameter("fc1.weight"), slice(None), slice(3, 40))
    plan = compacted(net, torch.randn(2, 1, 28, 28)).plan

    again = Plan.from_dict(json.loads(json.dumps(plan.to_dict())))

    assert again == plan
    assert again.gathers and again.cuts


def test_the_posterior_is_cut_like_its_weight() -> None:
    net = lenet5((4, 6, 9))
    zero(net.get_parameter("conv2.weight"), [1, 2])
    zero(net.get_parameter("fc1.weight"), slice(None), slice(3, 40))

    smaller = compacted(net, torch.randn(2, 1, 28, 28))

    for path in ("conv1.weight", "conv2.weight", "conv2.bias", "fc1.weight", "fc2.weight"):
        cut = smaller.plan.cut(path, net.get_parameter(path))
        assert torch.equal(cut, smaller.get_parameter(path))
