"""Converted layers: what they read where parameters were, and how gates meet activations."""

import copy
import pickle
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from pyro import condition, poutine
from torch import Tensor, nn

from pyro_sparse.distributions import L0, LogUniform
from pyro_sparse.nn import BayesianLayer, bayesian_layers, bayesianize
from pyro_sparse.nn.layer import BayesianNetwork, convert, restore
from pyro_sparse.nn.run import Run

GATES = L0(1.0)
LAYERS: dict[str, tuple[nn.Module, Tensor]] = {
    "Linear": (nn.Linear(4, 3), torch.randn(5, 4)),
    "Linear, sequences": (nn.Linear(4, 3), torch.randn(5, 2, 4)),
    "Conv1d": (nn.Conv1d(4, 6, 3, groups=2, padding=1), torch.randn(5, 4, 7)),
    "Conv1d, no batch": (nn.Conv1d(4, 6, 3), torch.randn(4, 7)),
    "Conv2d": (
        nn.Conv2d(2, 3, (3, 2), stride=2, padding=1, padding_mode="reflect"),
        torch.randn(5, 2, 5, 6),
    ),
    "Conv2d, depthwise": (nn.Conv2d(4, 8, 3, groups=4, bias=False), torch.randn(2, 4, 5, 5)),
    "Conv3d": (nn.Conv3d(2, 3, 2, dilation=2), torch.randn(2, 2, 4, 5, 4)),
    "ConvTranspose1d": (nn.ConvTranspose1d(4, 6, 3, groups=2), torch.randn(5, 4, 4)),
    "ConvTranspose2d": (
        nn.ConvTranspose2d(4, 6, 3, 2, output_padding=1),
        torch.randn(2, 4, 3, 4),
    ),
    "ConvTranspose3d": (nn.ConvTranspose3d(2, 3, 2, bias=False), torch.randn(2, 2, 3, 2, 3)),
    "Embedding": (nn.Embedding(5, 3), torch.tensor([[0, 4], [2, 2]])),
    "Bilinear": (nn.Bilinear(4, 4, 3), torch.randn(5, 4)),
}


def inputs(name: str, x: Tensor) -> tuple[Tensor, ...]:
    return (x, x.flip(0)) if name == "Bilinear" else (x,)


def values(layer: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach() for name, parameter in layer.named_parameters()}


def gates(layer: Any) -> Tensor:
    return torch.rand(layer.sources["gate"].shape)


@pytest.mark.parametrize("name", LAYERS)
def test_with_the_old_values_it_is_the_old_layer(name: str) -> None:
    layer, x = LAYERS[name]
    new = bayesianize(layer, weight=LogUniform(), bias=dist.Normal(0.0, 1.0))

    output = condition(new, values(layer))(*inputs(name, x))

    torch.testing.assert_close(output, layer(*inputs(name, x)), rtol=0, atol=0)


@pytest.mark.parametrize(
    "name", [name for name in LAYERS if name not in ("Embedding", "Bilinear")]
)
def test_input_gates(name: str) -> None:
    layer, x = LAYERS[name]
    new = bayesianize(layer, gate=GATES, gate_dim="in")
    z = gates(new)

    channels = 0 if "no batch" in name else (x.ndim - 1 if "Linear" in name else 1)
    assert z.shape == (x.shape[channels],)
    trailing = (1,) * (x.ndim - 1 - channels)
    wanted = layer(x * z.reshape(-1, *trailing))
    torch.testing.assert_close(condition(new, {"gate": z})(x), wanted)


@pytest.mark.parametrize("name", LAYERS)
def test_output_gates_multiply_after_the_bias(name: str) -> None:
    layer, x = LAYERS[name]
    new = bayesianize(layer, gate=GATES, gate_dim="out")
    z = gates(new)

    dense = layer(*inputs(name, x))
    channels = 0 if "no batch" in name else 1 if "Conv" in name else dense.ndim - 1
    assert z.shape == (dense.shape[channels],)
    wanted = dense * z.reshape(-1, *(1,) * (dense.ndim - 1 - channels))
    torch.testing.assert_close(condition(new, {"gate": z})(*inputs(name, x)), wanted)


@pytest.mark.parametrize("name", LAYERS)
def test_a_gate_of_the_whole_layer(name: str) -> None:
    layer, x = LAYERS[name]
    new = bayesianize(layer, gate=GATES, gate_dim="layer")

    output = condition(new, {"gate": torch.tensor([0.3])})(*inputs(name, x))

    torch.testing.assert_close(output, 0.3 * layer(*inputs(name, x)))


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("sampled", [False, True], ids=["parameter", "sampled"])
def test_weight_gates(name: str, sampled: bool) -> None:
    layer, x = LAYERS[name]
    new = bayesianize(
        layer, weight=dist.Normal(0.0, 1.0) if sampled else None, gate=GATES, gate_dim="weight"
    )
    z, given = gates(new), values(layer)
    dense: Any = copy.deepcopy(layer)
    dense.weight.data *= z

    output = condition(new, {"gate": z, "weight": given["weight"]})(*inputs(name, x))

    assert z.shape == given["weight"].shape
    torch.testing.assert_close(output, dense(*inputs(name, x)))


@pytest.mark.parametrize(
    ("norm", "x"),
    [
        (nn.BatchNorm1d(4), torch.randn(5, 4)),
        (nn.BatchNorm1d(4), torch.randn(5, 4, 3)),
        (nn.BatchNorm2d(4), torch.randn(5, 4, 3, 2)),
        (nn.BatchNorm2d(4, affine=False), torch.randn(5, 4, 3, 2)),
    ],
)
def test_gates_after_a_batch_norm(norm: nn.Module, x: Tensor) -> None:
    new = bayesianize(norm, gate=GATES, gate_dim=lambda name, module: "out")
    z = gates(new)

    wanted = copy.deepcopy(norm)(x) * z.reshape(-1, *(1,) * (x.ndim - 2))
    torch.testing.assert_close(condition(new, {"gate": z})(x), wanted)


def test_layers_called_by_keyword() -> None:
    linear, x = nn.Linear(4, 3), torch.randn(5, 4)
    for dim in ("in", "out"):
        new = bayesianize(linear, gate=GATES, gate_dim=dim)
        given = {"gate": torch.ones(4 if dim == "in" else 3)}
        torch.testing.assert_close(condition(new, given)(input=x), linear(x))

    bilinear = nn.Bilinear(4, 4, 3)
    new = bayesianize(bilinear, weight=LogUniform())
    output = condition(new, values(bilinear))(input1=x, input2=x)
    torch.testing.assert_close(output, bilinear(x, x))


def test_a_layer_of_ones_own() -> None:
    class Positive(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).exp()

    layer, x = Positive(4, 3), torch.randn(5, 4)
    new = bayesianize(layer, weight=LogUniform())

    assert isinstance(new, Positive)
    torch.testing.assert_close(condition(new, values(layer))(x), layer(x))


def test_hooks_stay() -> None:
    layer, seen = nn.Linear(4, 3), []
    layer.register_forward_hook(lambda module, args, output: seen.append(output.shape))
    layer.register_forward_pre_hook(lambda module, args: (args[0] * 2,))
    x = torch.randn(5, 4)

    output = condition(bayesianize(layer, weight=LogUniform()), values(layer))(x)

    torch.testing.assert_close(output, layer(x))
    assert seen == [(5, 3), (5, 3)]


def test_parameters_are_random_outside_a_run() -> None:
    new: Any = bayesianize(nn.Linear(4, 3), weight=LogUniform())

    with pytest.raises(AttributeError, match="random variable"):
        new.weight  # noqa: B018
    assert not hasattr(new, "weight") and hasattr(new, "bias")
    with pytest.raises(AttributeError, match="no attribute 'wieght'"):
        new.wieght  # noqa: B018


@pytest.mark.parametrize("layer", [nn.Linear(4, 3), nn.Conv2d(4, 3, 2), nn.Bilinear(2, 2, 2)])
def test_the_text_of_a_layer(layer: nn.Module) -> None:
    new = bayesianize(layer, weight=LogUniform(), bias=LogUniform(), gate=GATES, gate_dim="out")
    text = repr(new)

    assert text.startswith(f"Bayesian{type(layer).__name__}(")
    assert layer.extra_repr() in text
    assert "gate_dim='out'" in text and "weight ~ LogUniform" in text
    assert not hasattr(new, "bias")


def test_bayesian_layers() -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Sequential(nn.Linear(3, 2)))
    new = bayesianize(net, weight=LogUniform())

    assert [layer.path for layer in bayesian_layers(new)] == ["0", "2.0"]
    assert not list(bayesian_layers(net))


def test_classes_are_made_once_and_are_the_layers_classes_too() -> None:
    first, second = (bayesianize(nn.Linear(2, 2), weight=LogUniform()) for _ in range(2))

    assert type(first) is type(second)
    assert isinstance(first, nn.Linear)
    assert isinstance(first, BayesianLayer) and isinstance(first, BayesianNetwork)
    assert type(first).__name__ == "BayesianLinear"


@pytest.mark.parametrize("again", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies(again: Any) -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    new = bayesianize(net, weight=LogUniform(), gate=GATES)
    other = again(new)

    given = {
        "0.weight": torch.ones(3, 4),
        "2.weight": torch.ones(2, 3),
        "0.gate": torch.ones(4),
        "2.gate": torch.ones(3),
    }
    x = torch.randn(5, 4)
    torch.testing.assert_close(condition(other, given)(x), condition(new, given)(x))
    assert other.run is other[0].run is other[2].run is not new.run


def test_restore() -> None:
    layer = bayesianize(nn.Linear(4, 3), weight=LogUniform(), gate=GATES)
    restored: Any = restore(layer)

    assert type(restored) is nn.Linear and not list(bayesian_layers(restored))
    assert restore(nn.Linear(2, 2)).__class__ is nn.Linear

    restored.weight = nn.Parameter(torch.ones(3, 4))
    assert restored(torch.ones(1, 4)).shape == (1, 3)


def test_convert_adds_to_what_it_converted() -> None:
    module = nn.Linear(2, 2)
    run = Run()
    network = convert(convert(module, run, BayesianLayer), run, BayesianNetwork)

    assert network is module and network.mixins == (BayesianNetwork, BayesianLayer)
    assert network.original is nn.Linear


def test_a_network_announces_its_parameters_once_a_run() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    new = bayesianize(net, weight=LogUniform())
    given = {"0.weight": torch.ones(4, 4), "2.weight": torch.ones(2, 4)}

    trace = poutine.trace(condition(new, given)).get_trace(torch.randn(5, 4))

    sites: list[Any] = list(trace.nodes.values())
    heard = [site["value"].unconstrained() for site in sites if site["type"] == "param"]
    assert {id(p) for p in heard} == {id(p) for p in new.parameters()}
    assert len(heard) == 4
