"""Names of dimensions."""

from typing import Any

import numpy as np
import pyro
import pytest
import torch
from pyro.distributions import Normal
from torch import nn

from pyro_sparse.distributions import L0, HardConcrete
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer.draws import guide_draw, model_draw
from pyro_sparse.inspect.labels import Labels
from pyro_sparse.local import Local
from pyro_sparse.nn import Classifier, bayesianize


def model() -> None:
    pyro.sample("fc1.gate", HardConcrete(logits=torch.zeros(3)).to_event(1))
    pyro.sample("conv.weight", Local(Normal(torch.zeros(4, 3, 2, 2), 1.0)).to_event(4))
    pyro.sample("conv.bias", Local(Normal(torch.zeros(4), 1.0)).to_event(1))
    pyro.sample("plain", Normal(torch.zeros(2, 2), 1.0).to_event(2))
    pyro.sample("a/b", Normal(torch.zeros(2), 1.0).to_event(1))
    with pyro.plate("data", 5):
        pyro.sample("obs", Normal(0.0, 1.0).expand([5, 2]).to_event(1))


def labels(**dims: Any) -> Labels:
    return Labels(model_draw(model, {}), dims)


@pytest.mark.parametrize(
    ("site", "names"),
    [
        ("fc1.gate", ["fc1.group"]),
        ("conv.weight", ["conv.out", "conv.in", "conv.kernel_0", "conv.kernel_1"]),
        ("conv.bias", ["conv.out"]),
        ("plain", ["plain_dim_0", "plain_dim_1"]),
        ("a/b", ["a_b_dim_0"]),
        ("obs", ["data", "obs_dim_1"]),
    ],
)
def test_each_kind_of_site_has_its_names(site: str, names: list[str]) -> None:
    assert labels().dims[site] == names


def test_draws_and_constants() -> None:
    found = labels()

    drawn = found.named("posterior", {"fc1.gate": np.zeros((1, 7, 3))})
    assert drawn["fc1.gate"][0] == ["chain", "draw", "fc1.group"]

    constant = found.named("constant_data", {"fc1.gate.keep": np.zeros(3)})
    assert constant["fc1.gate.keep"][0] == ["fc1.group"]

    likelihood = found.named("log_likelihood", {"obs": np.zeros((1, 7, 5))})
    assert likelihood["obs"][0] == ["chain", "draw", "data"]

    assert found.named("sample_stats", {"lp": np.zeros((1, 7))})["lp"][0] == ["chain", "draw"]


def test_slashes_are_for_groups() -> None:
    assert list(labels().named("posterior", {"a/b": np.zeros((1, 7, 2))})) == ["a_b"]


def test_names_of_the_user() -> None:
    assert Labels(model_draw(model, {}), {"fc1.gate": ["feature"]}).dims["fc1.gate"] == ["feature"]

    with pytest.raises(ValueError, match=r"'fc1.gate' has 1 dimensions, but dims names \['a', "):
        Labels(model_draw(model, {}), {"fc1.gate": ["a", "b"]})

    with pytest.raises(ValueError, match=r"got \['fc9'\]"):
        labels(fc9=["a"])


class Many(nn.Module):
    """Layers whose weights are laid out in several ways."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(2, 5, 3)
        self.split = nn.ConvTranspose1d(4, 6, 3, groups=2)
        self.grouped = nn.Conv1d(4, 6, 3, groups=2)
        self.words = nn.Embedding(7, 4)
        self.pairs = nn.Bilinear(4, 3, 2)
        self.last = nn.Linear(5, 3)


@pytest.mark.parametrize(
    ("site", "names"),
    [
        ("up.weight", ["up.in", "up.out", "up.kernel_0", "up.kernel_1"]),
        ("up.bias", ["up.out"]),
        ("split.weight", ["split.in", "split.out_of_group", "split.kernel_0"]),
        ("grouped.weight", ["grouped.out", "grouped.in_of_group", "grouped.kernel_0"]),
        ("words.weight", ["words.in", "words.out"]),
        ("pairs.weight", ["pairs.out", "pairs.in_0", "pairs.in_1"]),
        ("last.weight", ["last.out", "last.in"]),
        ("last.gate", ["last.out", "last.in"]),
    ],
)
def test_dimensions_follow_the_layer(site: str, names: list[str]) -> None:
    gate: dict[str, Any] = {"gate": L0(0.1), "gate_dim": {"last": "weight"}}
    net = bayesianize(Many(), weight=Normal(0.0, 1.0), bias=Normal(0.0, 1.0), **gate)
    guide = AutoSparse(net)

    assert Labels(guide_draw(guide), {}, Classifier(net, 10)).dims[site] == names
