import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn.utils import parametrizations

from models.lenet import mlp
from pyro_sparse.graph.trace import argument, trace
from tests.prune.nets import Asking, compacted, zero


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 4)
        self.second.weight = self.first.weight
        self.third = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.third(self.third(self.second(self.first(x))))


def test_results_are_shapes() -> None:
    found = trace(mlp(4, 3, 2), torch.randn(5, 4))
    (last,) = [node for node in found.graph.nodes if node.target == "fc2"]

    assert found.shape(last) == (5, 2)
    assert found.results[last].is_meta


def test_the_original_is_not_touched() -> None:
    net = mlp(4, 3, 2)

    found = trace(net, torch.randn(5, 4))

    assert net.training and not found.root.training
    assert found.root.get_parameter("fc1.weight") is not net.get_parameter("fc1.weight")


def test_parameters_with_several_users_may_not_be_cut() -> None:
    found = trace(Tied(), torch.randn(5, 4))

    exclusive = {name for name, _ in Tied().named_parameters() if found.exclusive(name)}
    assert exclusive == {"first.bias", "second.bias"}
    assert not found.exclusive("second.weight")


def test_tied_layers_stay_as_they_are() -> None:
    net = Tied()
    zero(net.first.weight, [0, 1])

    smaller = compacted(net, torch.randn(5, 4))

    assert smaller.get_parameter("first.weight").shape == (4, 4)


def test_parametrized_weights_become_ordinary_ones() -> None:
    net = mlp(4, 3, 2)
    parametrizations.weight_norm(net.get_submodule("fc1"))
    zero(net.get_parameter("fc2.weight"), slice(None), [0])

    smaller = compacted(net, torch.randn(5, 4))

    assert smaller.get_parameter("fc1.weight").shape == (2, 4)


def test_shapes_that_are_asked_for_go_through_export() -> None:
    net = Asking()
    torch.nn.init.normal_(net.norm.bias)
    zero(net.conv.weight, [0, 1])
    zero(net.norm.weight, [3])
    zero(net.fc.weight, [0, 1, 2, 3])

    smaller = compacted(net, torch.randn(3, 2, 8, 8))

    # Of conv, maps 0, 1 and 3 are constant; fc keeps one unit.
    assert smaller.get_parameter("conv.weight").shape == (3, 2, 3, 3)
    assert smaller.get_parameter("fc.weight").shape == (1, 27)
    other = torch.randn(7, 2, 8, 8)
    torch.testing.assert_close(smaller(other), net(other))


def test_wrong_inputs_are_reported_as_they_are() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        trace(mlp(4, 3), torch.randn(5, 7))


def test_arguments_by_position_or_name() -> None:
    graph = fx.Graph()
    x = graph.placeholder("x")
    node = graph.call_function(torch.cat, ([x, x],), {"dim": 2})

    assert argument(node, 0, "tensors") == [x, x]
    assert argument(node, 1, "dim") == 2
    assert argument(node, 2, "out", "none") == "none"
