"""Proposals where to gate: tried on networks of many kinds, from the gates to the smaller net."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.alexnet import alexnet
from models.lenet import lenet5, lenet_300_100
from models.resnet import ResNet
from models.vgg import vgg
from models.wide_resnet import wrn_small
from pyro_sparse.distributions import L0
from pyro_sparse.guides import AutoSparse
from pyro_sparse.nn import bayesianize, gate_sites
from pyro_sparse.nn.layout import layout_of
from pyro_sparse.prune import compact, freeze
from tests.prune.nets import FAMILIES, Asking, Dense, assert_same

NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Any]]] = {
    "LeNet-300-100": (lenet_300_100, lambda: torch.randn(2, 1, 28, 28)),
    "LeNet-5-Caffe": (lenet5, lambda: torch.randn(2, 1, 28, 28)),
    "VGG-like": (lambda: vgg(width=1 / 8), lambda: torch.randn(2, 3, 32, 32)),
    "AlexNet": (lambda: alexnet(hidden=64), lambda: torch.randn(2, 3, 32, 32)),
    "WRN-10-2": (wrn_small, lambda: torch.randn(2, 3, 16, 16)),
    "asking for shapes": (Asking, lambda: torch.randn(2, 2, 9, 9)),
}
NETWORKS |= {name: (family.build, family.inputs) for name, family in FAMILIES.items()}


class Heads(nn.Module):
    """Features that several layers read: each module carries one gate."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 6)
        self.second = nn.Linear(6, 5)
        self.heads = nn.ModuleList(nn.Linear(5, 2) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.second(F.relu(self.first(x))))
        return torch.cat([head(x) for head in self.heads], 1)


def units_left(original: nn.Module, smaller: nn.Module, path: str, dim: str) -> int:
    layout = layout_of(original.get_submodule(path))
    assert layout is not None
    axis = layout.out_dim if dim == "out" else layout.in_dim
    assert axis is not None
    return smaller.get_parameter(f"{path}.weight").shape[axis]


def trained(net: nn.Module) -> nn.Module:
    """Norms that have seen data, so that whatever they normalise leaves a constant."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            for parameter in module.parameters():
                nn.init.normal_(parameter)

    return net.eval()


def check_that_closed_units_go(build: Callable[[], nn.Module], x: Any) -> None:
    """Gates at the proposed sites, half of them closed: equal outputs, and that much narrower."""
    net = trained(build())
    sites = gate_sites(net, x)
    model = bayesianize(net, gate=L0(1.0), gate_dim=sites)
    guide = AutoSparse(model)

    kept = {}
    for site, law in guide.laws().items():
        kept[site] = torch.rand(law.batch_shape) < 0.5
        kept[site][0] = True

    frozen = freeze(model, guide, kept).eval()
    smaller = compact(frozen, x)
    assert_same(frozen, smaller, x)
    assert kept and kept.keys() == {f"{path}.gate" for path in sites}

    for (path, dim), (size, maker) in sites.units.items():
        expected = int(kept[f"{path}.gate"].sum())
        assert size == len(kept[f"{path}.gate"])
        if maker == "the input":
            assert units_left(net, smaller, path, dim) == expected
        else:
            assert units_left(net, smaller, maker, "out") == expected


@pytest.mark.parametrize("name", NETWORKS)
def test_closed_units_are_gone(name: str) -> None:
    build, example = NETWORKS[name]
    check_that_closed_units_go(build, example())


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "densenet", "mobilenet_v3_small"])
def test_closed_units_are_gone_from_networks_of_torchvision(name: str) -> None:
    models = pytest.importorskip("torchvision.models", reason="install pyro-sparse[vision]")
    builders = {"densenet": lambda: models.DenseNet(4, (2, 2), 8)}

    check_that_closed_units_go(
        builders.get(name, getattr(models, name)), torch.randn(2, 3, 32, 32)
    )


def test_a_residual_stream_has_no_gates_and_its_branches_do() -> None:
    family = FAMILIES["residual"]
    sites = gate_sites(family.build(), family.inputs())

    assert sites == {f"blocks.{i}.bn1": "out" for i in range(3)}
    assert sites.left_out["stem"] == "blocks.1.shortcut"
    assert sites.left_out["blocks.2.conv2"] == "head"


def test_a_shortcut_added_to_some_of_the_units_counts() -> None:
    net = ResNet(1, width=8).eval()  # the last stage's shortcut has zeros around its channels

    sites = gate_sites(net, torch.randn(2, 3, 32, 32))

    assert "stage3.0.bn1" in sites
    assert not any(path.endswith("bn2") for path in sites)
    assert "stage3.0.conv2" in sites.left_out


def test_constants_that_cannot_be_folded_count() -> None:
    """In a dense net each layer pads what a closed unit leaves behind the norm."""
    sites = gate_sites(Dense(), torch.randn(2, 2, 6, 6))

    assert sites == {"layers.2.2": "out"}
    assert sites.left_out.keys() == {"stem", "layers.0.2", "layers.1.2", "head"}


def test_a_constant_under_padding_makes_the_next_place_be_taken() -> None:
    def net(*between: nn.Module) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), *between, nn.Conv2d(4, 3, 3, padding=1), nn.Flatten()
        )

    x = torch.randn(2, 1, 5, 5)

    assert gate_sites(net(nn.ReLU()), x) == {"0": "out"}
    assert gate_sites(net(nn.Sigmoid()), x) == {"2": "in"}
    assert gate_sites(net(nn.BatchNorm2d(4), nn.ReLU()), x) == {"1": "out"}
    assert gate_sites(net(nn.BatchNorm2d(4), nn.Sigmoid()), x) == {"3": "in"}


def test_a_module_carries_one_gate_so_populations_make_room() -> None:
    sites = gate_sites(Heads(), torch.randn(2, 4))

    assert sites == {"first": "out", "second": "out"}


def test_depthwise_channels_are_gated_once() -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 4, 1), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Conv2d(4, 2, 1), nn.Flatten(),
    )  # fmt: skip

    assert gate_sites(net, torch.randn(2, 1, 4, 4)) == {"4": "out"}


def test_values_do_not_count_and_are_left_alone() -> None:
    net = lenet5((4, 6, 9)).eval()
    x = torch.randn(2, 1, 28, 28)
    expected = gate_sites(net, x)

    for parameter in net.parameters():
        nn.init.zeros_(parameter)
    before = copy.deepcopy(net.state_dict())

    assert gate_sites(net, x) == expected
    assert all(tensor.equal(before[name]) for name, tensor in net.state_dict().items())
    assert not net.training


def test_norms_without_parameters_are_gated() -> None:
    def build() -> nn.Module:
        norm = nn.BatchNorm1d(6, affine=False)
        return nn.Sequential(nn.Linear(3, 6), norm, nn.ReLU(), nn.Linear(6, 2))

    x = torch.randn(4, 3)

    assert gate_sites(build(), x) == {"0": "in", "1": "out"}
    check_that_closed_units_go(build, x)


def test_the_proposal_is_a_dictionary_to_edit_and_a_table_to_read() -> None:
    sites = gate_sites(
        nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2)), torch.ones(1, 3)
    )
    assert str(sites).split("\n") == [
        "gate  units  of",
        "0 in  3      the input",
        "2 in  6      0",
        "-            2 (needed by output)",
    ]

    del sites["0"]
    sites["2"] = "out"
    assert "the input" not in str(sites) and "2 out" in str(sites)

    loaded = pickle.loads(pickle.dumps(sites))
    assert loaded == sites == {"2": "out"} and loaded.left_out == {"2": "output"}


def test_what_cannot_be_traced_is_an_error() -> None:
    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(ValueError, match="Branching cannot be traced"):
        gate_sites(Branching(), torch.ones(1, 3))


def test_lazy_layers_are_an_error() -> None:
    net = nn.Sequential(nn.LazyLinear(3), nn.ReLU())

    with pytest.raises(ValueError, match=r"Layer '0' \(LazyLinear\) is not initialised yet"):
        gate_sites(net, torch.ones(1, 3))


def test_a_network_that_is_converted() -> None:
    with pytest.raises(ValueError, match=r"before it is converted, and '0' is Bayesian already"):
        gate_sites(nn.Sequential(bayesianize(nn.Linear(4, 2), gate=L0(1.0))), torch.randn(2, 4))
