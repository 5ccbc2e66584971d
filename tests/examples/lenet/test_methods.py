"""The methods: every one builds on both networks, and gates what the papers gate."""

import pytest
import torch
from torch import nn

from examples.lenet.methods import METHODS, NETS, method_for
from examples.lenet.program import build, with_dropout
from examples.lenet.result import describe
from models.lenet import lenet5, lenet_300_100
from pyro_sparse.infer import TraceSparse_ELBO


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("net", NETS)
def test_every_method_has_a_bound_with_finite_gradients(net: str, name: str) -> None:
    model, guide = build(method_for(net, name), NETS[net](), num_data=4)
    bound = TraceSparse_ELBO()(model, guide)

    bound(torch.rand(4, 1, 28, 28), torch.arange(4)).backward()

    gradients = [p.grad for p in bound.parameters() if p.grad is not None]
    assert gradients
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("name", [name for name, m in METHODS.items() if "gate" in m.priors])
def test_gates_sit_on_inputs_and_on_maps(name: str) -> None:
    _, guide = build(method_for("lenet_5_caffe", name), lenet5(), num_data=4)
    sizes = {site: law.shape() for site, law in guide.laws().items() if site.endswith("gate")}

    assert sizes == {
        "conv1.gate": (20,),
        "conv2.gate": (50,),
        "fc1.gate": (800,),
        "fc2.gate": (500,),
    }


def test_a_penalty_counts_weights_and_differs_by_layer() -> None:
    method = method_for("lenet_300_100", "l0_sep")
    prior = method.priors["gate"]

    _, guide = build(method, lenet_300_100(), num_data=4)

    for layer, group in (("fc1", 300), ("fc2", 100), ("fc3", 10)):
        penalty = guide.priors()[f"{layer}.gate"].penalty
        torch.testing.assert_close(penalty.max().item(), prior.penalties[layer] * group)


def test_binary_dropout_is_behind_hidden_units_only() -> None:
    names = [name for name, _ in with_dropout(lenet5(), 0.5).named_children()]
    net = with_dropout(lenet_300_100(), 0.5)

    assert [name for name in names if "dropout" in name] == ["dropout3"]
    assert sum(isinstance(layer, nn.Dropout) for layer in net) == 2


def test_settings_are_told_with_their_numbers() -> None:
    told = describe(dict(METHODS["ghs"].priors))

    assert told == {
        "weight": "Normal(loc=0, scale=1)",
        "gate": "HalfCauchy(base_dist.loc=0, base_dist.scale=1e-05)",
    }
