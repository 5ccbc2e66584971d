import re

import pytest
from pyro.distributions import Normal
from torch import nn

from models.lenet import lenet5
from pyro_sparse.nn import all_but, bayesianize, by_name, by_type, convolutions, layers
from pyro_sparse.nn.select import Select
from tests.nn.networks import Nested, priors


def converted(net: nn.Module, select: Select) -> list[str]:
    """The layers whose weights are sampled."""
    sites = priors(bayesianize(net, weight=Normal(0.0, 1.0), select=select))
    return [site.removesuffix(".weight") for site in sites]


def test_by_type() -> None:
    assert converted(lenet5(), convolutions) == ["conv1", "conv2"]
    assert converted(lenet5(), by_type(nn.Linear)) == ["fc1", "fc2"]
    assert converted(lenet5(), by_type(nn.Linear, nn.Conv2d)) == converted(lenet5(), layers)


def test_by_name() -> None:
    assert converted(lenet5(), by_name("conv*")) == ["conv1", "conv2"]
    assert converted(lenet5(), by_name("conv1", "fc[13-9]")) == ["conv1", "fc1"]
    assert converted(lenet5(), by_name(re.compile(r".*2"))) == ["conv2", "fc2"]
    # A regular expression is about the whole path, and letters are told from capitals.
    assert not by_name(re.compile("conv"))("conv1", nn.Identity())
    assert not by_name("Conv*")("conv1", nn.Identity())


def test_all_but() -> None:
    assert converted(lenet5(), all_but(lenet5(), first=1, last=1)) == ["conv2", "fc1"]
    assert converted(lenet5(), all_but(lenet5(), last=2)) == ["conv1", "conv2"]
    assert converted(Nested(), all_but(Nested(), first=3)) == ["heads.noise"]


def test_combinations() -> None:
    assert converted(lenet5(), convolutions & ~by_name("conv1")) == ["conv2"]
    assert converted(lenet5(), by_name("conv1") | by_type(nn.Linear)) == ["conv1", "fc1", "fc2"]
    assert converted(lenet5(), layers & (lambda name, module: "2" in name)) == ["conv2", "fc2"]


def test_a_wide_pattern_says_that_some_may_be_left_out() -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3))

    assert converted(net, by_name("*") & layers) == ["0"]
    with pytest.raises(ValueError, match="select names '1', a LayerNorm"):
        converted(net, by_name("*"))


def test_choices_of_nothing_are_errors() -> None:
    with pytest.raises(ValueError, match="by_name needs a pattern"):
        by_name()
    with pytest.raises(ValueError, match="by_type needs a class"):
        by_type()
    with pytest.raises(ValueError, match=r"4 layers of Sequential.*first=2, last=2"):
        all_but(lenet5(), first=2, last=2)
    with pytest.raises(ValueError, match="first=-1"):
        all_but(lenet5(), first=-1)
