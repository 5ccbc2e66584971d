import copy
import pickle
import random
import sys
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from models.lenet import lenet5, lenet_300_100, mlp
from pyro_sparse.distributions import L0
from pyro_sparse.nn import bayesianize
from pyro_sparse.prune import compact, count
from pyro_sparse.prune.surgery import CompactModule
from tests.prune.nets import (
    FAMILIES,
    Residual,
    assert_same,
    compacted,
    density,
    sprinkle,
    widths,
    zero,
)

IN_EVERY_FAMILY = settings(
    max_examples=15,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.mark.parametrize("family", FAMILIES)
@IN_EVERY_FAMILY
@given(seed=st.integers(0, 10**6), round_to=st.sampled_from([1, 1, 4]))
def test_outputs_stay_equal_whatever_is_zero(family: str, seed: int, round_to: int) -> None:
    kind = FAMILIES[family]
    net = sprinkle(kind.build().double(), seed)
    x = kind.inputs()
    x = x.double() if x.is_floating_point() else x

    smaller = compacted(net, x, round_to=round_to, allow_empty=True)

    other = kind.inputs()
    assert_same(net, smaller, other.double() if other.is_floating_point() else other)
    assert density(net, smaller) <= 1.5  # a new bias may come in, never new weights
    assert count(smaller, x).weights <= count(net, x).weights


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_goes_where_nothing_is_zero(family: str) -> None:
    kind = FAMILIES[family]
    net = kind.build()

    smaller = compacted(net, kind.inputs())

    assert smaller.state_dict().keys() == net.state_dict().keys()
    assert widths(smaller) == widths(net)
    assert not smaller.plan.cuts and not smaller.plan.kept


def test_inputs_and_hidden_units_of_an_mlp() -> None:
    net = mlp(12, 9, 8, 4)
    zero(net.get_parameter("fc1.weight"), slice(None), [0, 3, 11])
    zero(net.get_parameter("fc1.weight"), [1, 2])
    zero(net.get_parameter("fc3.weight"), slice(None), slice(2, 8))

    smaller = compacted(net, torch.randn(5, 12))

    assert widths(smaller) == {"fc1": (9, 7), "fc2": (7, 2), "fc3": (2, 4)}
    assert smaller.plan.cuts["fc1.weight"].columns == [[1, 2, 4, 5, 6, 7, 8, 9, 10]]
    assert smaller.plan.cuts["fc2.bias"].index == [0, 1]


def test_what_a_removed_unit_leaves_behind_is_folded() -> None:
    net = mlp(3, 4, 2)
    zero(net.get_parameter("fc1.weight"), [1])
    before = net.get_parameter("fc2.bias").detach().clone()

    smaller = compacted(net, torch.randn(6, 3))

    constant = net.get_parameter("fc1.bias")[1].relu() * net.get_parameter("fc2.weight")[:, 1]
    torch.testing.assert_close(smaller.get_parameter("fc2.bias"), before + constant)


@pytest.mark.parametrize("rows", [[0], [1, 2, 3]])
def test_one_unit_left(rows: list[int]) -> None:
    net = mlp(5, 4, 4, 3)
    alive = torch.zeros(4, dtype=torch.bool)
    alive[rows[0]] = True
    zero(net.get_parameter("fc1.weight"), ~alive)
    zero(net.get_parameter("fc2.weight"), ~alive)

    assert widths(compacted(net, torch.randn(2, 5))) == {
        "fc1": (5, 1),
        "fc2": (1, 1),
        "fc3": (1, 3),
    }


def test_a_dead_layer_is_named() -> None:
    net = mlp(5, 4, 4, 3)
    zero(net.get_parameter("fc2.weight"))

    with pytest.raises(
        ValueError, match=r"gets through fc2: .*allow_empty=True.*\(.*fc2, fc3\.\)"
    ):
        compact(net, torch.randn(2, 5))

    smaller = compacted(net, torch.randn(2, 5), allow_empty=True)
    assert widths(smaller) == {"fc1": (1, 1), "fc2": (1, 1), "fc3": (1, 3)}


@pytest.mark.parametrize("layer", ["fc1", "fc2", "fc3"])
def test_a_dead_network_is_constant_if_asked(layer: str) -> None:
    net = mlp(5, 4, 4, 3)
    zero(net.get_parameter(f"{layer}.weight"))

    smaller = compacted(net, torch.randn(7, 5), allow_empty=True)

    outputs = smaller(torch.randn(7, 5))
    assert outputs.shape == (7, 3)
    assert (outputs == outputs[0]).all()


def test_lenet5_gathers_positions_behind_flatten() -> None:
    net = lenet5()
    zero(net.get_parameter("conv1.weight"), slice(8, 20))
    zero(net.get_parameter("conv2.weight"), slice(13, 50))
    zero(net.get_parameter("fc1.weight"), slice(None), slice(88, 800))
    zero(net.get_parameter("fc1.weight"), slice(13, 500))
    x = torch.randn(3, 1, 28, 28)

    smaller = compacted(net, x)

    # Features 0 to 87 belong to the maps 0 to 5 of conv2: others go although their weights stay.
    assert widths(smaller) == {"conv1": (1, 8), "conv2": (8, 6), "fc1": (88, 13), "fc2": (13, 10)}
    assert count(smaller, x).architecture == "8-6-88-13"


ARCHITECTURES = [
    ((219, 214, 100), 69_266),
    ((278, 98, 13), 28_648),
    ((311, 86, 14), 28_090),
    ((266, 88, 33), 26_642),
    ((97, 71, 33), 9_560),
    ((512, 114, 72), 67_296),
]


@pytest.mark.parametrize(("architecture", "weights"), ARCHITECTURES)
def test_published_architectures_of_lenet_300_100(
    architecture: tuple[int, int, int], weights: int
) -> None:
    net = lenet_300_100()
    for layer, width in zip(["fc1", "fc2", "fc3"], architecture, strict=True):
        parameter = net.get_parameter(f"{layer}.weight")
        zero(parameter, slice(None), torch.randperm(parameter.shape[1])[width:])

    x = torch.randn(2, 784)
    counted = count(compacted(net, x), x)

    assert counted.architecture == "-".join(map(str, architecture))
    assert counted.weights == counted.macs == weights


LENETS = [
    ((14, 19, 242, 131), 40_012, 660_000),
    ((3, 12, 192, 500), 101_975, 202_000),
    ((7, 13, 208, 16), 5_938, 250_000),
    ((3, 18, 284, 283), 84_627, 213_000),
    ((8, 13, 88, 13), 4_074, 283_000),
    ((5, 10, 76, 16), 2_751, 153_000),
    ((20, 25, 45, 462), 38_410, 1_110_000),
    ((9, 18, 65, 25), 6_150, 391_000),
    ((6, 10, 39, 11), 2_189, 183_000),
]


@pytest.mark.parametrize(("architecture", "weights", "macs"), LENETS)
def test_published_architectures_of_lenet5(
    architecture: tuple[int, int, int, int], weights: int, macs: int
) -> None:
    first, second, features, hidden = architecture
    net = lenet5()
    zero(net.get_parameter("conv1.weight"), slice(first, None))
    zero(net.get_parameter("conv2.weight"), slice(second, None))
    zero(net.get_parameter("fc2.weight"), slice(None), slice(hidden, None))
    # Every map must own a feature that is read, or the map goes as well.
    order = torch.arange(16 * second).view(second, 16).T.flatten()
    closed = torch.ones(800, dtype=torch.bool)
    closed[order[:features]] = False
    zero(net.get_parameter("fc1.weight"), slice(None), closed)

    x = torch.randn(2, 1, 28, 28)
    counted = count(compacted(net, x), x)

    assert counted.architecture == "-".join(map(str, architecture))
    assert counted.weights == weights
    assert counted.macs == pytest.approx(macs, rel=0.005)


def test_single_precision_keeps_its_promise() -> None:
    net = sprinkle(Residual(), seed=3)

    assert density(net, compacted(net, torch.randn(4, 2, 8, 8))) < 1


def test_round_to_keeps_units_for_hardware() -> None:
    net = mlp(40, 30, 20, 10)
    zero(net.get_parameter("fc1.weight"), slice(9, 30))
    zero(net.get_parameter("fc1.weight"), slice(None), slice(17, 40))
    zero(net.get_parameter("fc2.weight"), slice(8, 20))

    smaller = compacted(net, torch.randn(2, 40), round_to=8)

    assert widths(smaller) == {"fc1": (24, 16), "fc2": (16, 8), "fc3": (8, 10)}
    assert smaller.plan.kept["fc1"] == list(range(9, 16))
    assert smaller.plan.reasons["fc1"] == "round_to"


def test_the_original_is_left_alone() -> None:
    net = mlp(5, 4, 3).train()
    zero(net.get_parameter("fc1.weight"), [0, 1])
    before = copy.deepcopy(net.state_dict())

    smaller = compact(net, torch.randn(2, 5))

    assert net.training and smaller.training and smaller.get_submodule("fc1").training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not {id(p) for p in net.parameters()} & {id(p) for p in smaller.parameters()}


def test_the_compact_network_trains_on() -> None:
    net = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 1))
    zero(net.get_parameter("0.weight"), [0, 1])
    net.get_parameter("3.bias").requires_grad = False
    x, y = torch.randn(64, 6), torch.randn(64, 1)

    smaller = compact(net, x).train()
    optimizer = torch.optim.Adam(smaller.parameters(), lr=0.05)
    losses = []
    for _ in range(30):
        loss = (smaller(x) - y).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    assert losses[-1] < losses[0]
    assert not smaller.get_parameter("3.bias").requires_grad


def test_it_copies_and_prints_as_a_module() -> None:
    net = mlp(5, 4, 3)
    zero(net.get_parameter("fc1.weight"), [0])
    smaller = compact(net, torch.randn(2, 5))

    again = copy.deepcopy(smaller)

    assert str(again) == str(smaller)
    assert "(fc1): Linear(in_features=5, out_features=3, bias=True)" in str(smaller)
    assert again.plan == smaller.plan
    assert_same(net, again, torch.randn(2, 5))


@pytest.mark.parametrize("family", FAMILIES)
def test_it_can_be_pickled(family: str) -> None:
    kind = FAMILIES[family]
    smaller = compact(sprinkle(kind.build().eval(), seed=1), kind.inputs(), allow_empty=True)

    again = pickle.loads(pickle.dumps(smaller))

    assert isinstance(again, CompactModule)
    assert str(again) == str(smaller)
    assert again.plan == smaller.plan
    assert again.training == smaller.training
    assert_same(smaller, again, kind.inputs())


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def test_control_flow_on_values_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"Branching cannot be traced\. torch\.fx says: .*must not"
    ):
        compact(Branching(), torch.randn(2, 3))


class Noisy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x) * random.random()


def test_a_network_that_does_not_repeat_itself_is_noticed() -> None:
    with pytest.raises(RuntimeError, match="Noisy and its compact form disagree on the example"):
        compact(Noisy(), torch.randn(2, 3))


@pytest.mark.parametrize("round_to", [0, -8, 1.5])
def test_round_to_is_a_positive_number(round_to: Any) -> None:
    with pytest.raises(ValueError, match=f"positive whole number, but got {round_to}"):
        compact(mlp(3, 2), torch.randn(1, 3), round_to=round_to)


class Answers(nn.Module):
    """Results of many kinds: with infinities, without numbers, truths, none at all."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        y = self.last(self.first(x).relu())
        return y.masked_fill(x[:, :1] > 0, -torch.inf), y > 0, y[:0], y.argmax(1)


def test_results_without_numbers_are_compared_as_they_are() -> None:
    net = Answers()
    zero(net.first.weight, [0, 1])

    smaller = compact(net, torch.tensor([[1.0, 2, 3, 4], [-1, 2, 3, 4]]))

    assert widths(smaller)["first"] == (4, 4)


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ([1.0, torch.inf], [1.0, torch.inf], True),
        ([1.0, torch.inf], [1.0, -torch.inf], False),
        ([1.0, torch.inf], [1.1, torch.inf], False),
        ([1.0, torch.nan], [1.0, 1.0], False),
        ([100.0, 0.0], [100.0, 1e-3], True),
        ([True], [False], False),
        ([1, 2], [1, 3], False),
        ([], [], True),
        ([1.0], [1.0, 1.0], False),
    ],
)
def test_what_counts_as_equal(before: list[Any], after: list[Any], same: bool) -> None:
    agree = sys.modules["pyro_sparse.prune.compact"]._agree

    assert agree(torch.tensor(before), torch.tensor(after)) is same


def test_a_network_is_frozen_first() -> None:
    net = nn.Sequential(bayesianize(mlp(4, 3, 2), gate=L0(1.0)))

    with pytest.raises(
        ValueError, match=r"Sequential is still Bayesian. Freeze it first: compact"
    ):
        compact(net, torch.randn(2, 4))
