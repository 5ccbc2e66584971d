"""Names of dimensions."""

from typing import Any

import numpy as np
import pyro
import pytest
import torch
from pyro.distributions import Normal

from pyro_sparse.distributions import HardConcrete
from pyro_sparse.infer.draws import model_draw
from pyro_sparse.inspect.labels import Labels
from pyro_sparse.local import Local


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
