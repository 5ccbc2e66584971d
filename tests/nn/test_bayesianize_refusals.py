"""What conversion refuses, and what it says."""

from collections.abc import Callable
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from torch import nn

from pyro_sparse.distributions import L0, LogUniform
from pyro_sparse.nn import bayesianize, by_name
from tests.nn.networks import mlp, priors

NORMAL = dist.Normal(0.0, 1.0)


class Meaningless(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))


def lazy() -> nn.Module:
    return nn.Sequential(nn.LazyLinear(3))


def converted() -> nn.Module:
    return nn.Sequential(bayesianize(nn.Linear(2, 2), weight=NORMAL))


REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "no module": (
        lambda: bayesianize(torch.relu, weight=NORMAL),  # type: ignore[arg-type]
        TypeError,
        r"converts a torch\.nn\.Module, got builtin_function_or_method",
    ),
    "no law": (lambda: bayesianize(mlp()), ValueError, "needs a law for weight, bias or gate"),
    "a number as law": (
        lambda: bayesianize(mlp(), weight=0.1),  # type: ignore[arg-type]
        TypeError,
        r"prior of '0\.weight' is a Pyro distribution.*got 0\.1.*pyro\.distributions",
    ),
    "a class as law": (
        lambda: bayesianize(mlp(), weight=LogUniform),  # type: ignore[arg-type]
        TypeError,
        r"prior of '0\.weight' is a Pyro distribution.*LogUniform",
    ),
    "a law of torch": (
        lambda: bayesianize(mlp(), weight=torch.distributions.Normal(0.0, 1.0)),  # type: ignore[arg-type]
        TypeError,
        r"prior of '0\.weight'.*pyro\.distributions",
    ),
    "a function without a law": (
        lambda: bayesianize(mlp(), gate=lambda *_: 1.0),  # type: ignore[arg-type]
        TypeError,
        r"prior of '0\.gate'.*got 1\.0",
    ),
    "nothing selected": (
        lambda: bayesianize(mlp(), weight=NORMAL, select=lambda name, module: False),
        ValueError,
        r"Nothing is selected.*\['Linear', 'ReLU', 'Sequential'\].*select\(name, module\)",
    ),
    "nothing to select": (
        lambda: bayesianize(nn.LayerNorm(3), weight=NORMAL),
        ValueError,
        r"Nothing is selected.*LayerNorm",
    ),
    "an unsupported layer": (
        lambda: bayesianize(
            nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)), weight=NORMAL, select=lambda *_: True
        ),
        ValueError,
        r"select names '1', a LayerNorm.*Linear, convolutional",
    ),
    "an unsupported layer of one's own": (
        lambda: bayesianize(Meaningless(), weight=NORMAL, select=lambda *_: True),
        ValueError,
        r"a Meaningless, whose parameters cannot be sampled",
    ),
    "not initialised": (
        lambda: bayesianize(lazy(), weight=NORMAL),
        ValueError,
        r"'0' \(LazyLinear\) is not initialised yet.*Run the network once",
    ),
    "converted twice": (
        lambda: bayesianize(converted(), weight=NORMAL),
        ValueError,
        r"converted once, and '0' is Bayesian already.*original",
    ),
    "a gate dimension that is none": (
        lambda: bayesianize(mlp(), gate=L0(1.0), gate_dim="channel"),
        ValueError,
        r"gate_dim is 'in', 'out', 'weight', 'layer' or 'head', got 'channel' for",
    ),
    "a gate dimension that the layer lacks": (
        lambda: bayesianize(nn.Sequential(nn.Embedding(5, 3)), gate=L0(1.0)),
        ValueError,
        r"'0' \(Embedding\) has no units along gate_dim='in'.*'out' or 'weight'",
    ),
    "input gates of a norm": (
        lambda: bayesianize(nn.BatchNorm1d(3), gate=L0(1.0), gate_dim=lambda *_: "in"),
        ValueError,
        r"batch norm carries 'out' or 'layer' gates, got 'in'",
    ),
    "gates on a module that is not there": (
        lambda: bayesianize(mlp(), gate=L0(1.0), gate_dim={"0": "in", "last": "in"}),
        ValueError,
        r"layers and batch norms by their path, and 'last' is no module.*gate_sites",
    ),
    "gates on a module that has no units": (
        lambda: bayesianize(mlp(), gate=L0(1.0), gate_dim={"1": "out"}),
        ValueError,
        r"'1' is a ReLU. Leave it out",
    ),
    "a selection that is a name": (
        lambda: bayesianize(mlp(), weight=NORMAL, select="0"),  # type: ignore[arg-type]
        TypeError,
        r"select is a function of \(name, module\), got '0'.*by_name",
    ),
    "sides that are a list": (
        lambda: bayesianize(mlp(), gate=L0(1.0), gate_dim=["0"]),  # type: ignore[arg-type]
        TypeError,
        r"gate_dim is one side for all layers, a dictionary.*got \['0'\]",
    ),
    "gates where nothing is selected": (
        lambda: bayesianize(
            mlp(), gate=L0(1.0), gate_dim={"0": "in", "2": "in"}, select=by_name("0")
        ),
        ValueError,
        r"gate_dim wants gates at \['2'\], which select leaves out",
    ),
    "no gate at all": (
        lambda: bayesianize(mlp(), gate=L0(1.0), gate_dim={}),
        ValueError,
        r"No parameter of Sequential got a law.*gate_dim=\{\}",
    ),
    "functions that return no law": (
        lambda: bayesianize(mlp(), weight=lambda *_: None),
        ValueError,
        r"No parameter of Sequential got a law.*may return None",
    ),
    "weight norm": (
        lambda: bayesianize(
            nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))), weight=NORMAL
        ),
        ValueError,
        r"'0' \(ParametrizedLinear\) computes its weight.*leave the layer out with select",
    ),
    "a gate on a computed weight": (
        lambda: bayesianize(
            nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))), gate=L0(1.0)
        ),
        ValueError,
        r"'0' \(ParametrizedLinear\) computes its weight.*gated.*remove_parametrizations",
    ),
    "a gate on a computed norm": (
        lambda: bayesianize(
            nn.Sequential(nn.utils.parametrizations.weight_norm(nn.BatchNorm1d(2), dim=0)),
            gate=L0(1.0),
            gate_dim={"0": "out"},
        ),
        ValueError,
        r"'0' \(ParametrizedBatchNorm1d\) computes its weight",
    ),
    "a law for a computed bias": (
        lambda: bayesianize(
            nn.Sequential(
                nn.utils.parametrizations.weight_norm(nn.Linear(2, 2), name="bias", dim=0)
            ),
            bias=NORMAL,
        ),
        ValueError,
        r"'0' \(ParametrizedLinear\) computes its bias",
    ),
    "a law that does not fit": (
        lambda: bayesianize(mlp(), weight=dist.Normal(torch.zeros(7), 1.0)),
        ValueError,
        r"'0\.weight' has batch shape \(7,\).*expand to \(6, 4\).*function of \(name, shape",
    ),
    "a law of events": (
        lambda: bayesianize(mlp(), weight=lambda n, shape, g: NORMAL.expand(shape).to_event(2)),
        ValueError,
        r"law of single numbers, and that of '0\.weight' has events of shape \(6, 4\).*to_event",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_say_what_is_wrong_and_what_to_do(name: str) -> None:
    call, kind, message = REFUSED[name]

    with pytest.raises(kind, match=rf"(?s){message}"):
        call()


def test_a_lazy_network_that_ran_is_converted() -> None:
    net = lazy()
    net(torch.zeros(1, 2))

    assert priors(bayesianize(net, weight=NORMAL))["0.weight"].shape == (3, 2)
