"""What we ask of Pyro's messages: replay that keeps the model's words, parameters by name."""

import gc
import weakref
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from torch import Tensor, nn

from pyro_sparse.effects import (
    Replay,
    StoredParameters,
    active_handlers,
    emit_parameters,
    heard_parameters,
)


def guide() -> None:
    infer: Any = {"said": "guide", "guide": True}
    pyro.sample("w", dist.Normal(0.0, 1.0), infer=infer)


def model() -> Tensor:
    infer: Any = {"said": "model", "model": True}
    w = pyro.sample("w", dist.Normal(5.0, 1.0), infer=infer)
    pyro.sample("obs", dist.Normal(w, 1.0), obs=torch.tensor(0.0))
    return w


def missing(site: Any) -> KeyError:
    return KeyError(site["name"])


def replayed(program: Any, by: Any, value: Any = lambda q, p: q["value"]) -> tuple[Any, Any]:
    trace = poutine.trace(by).get_trace()
    with Replay(trace, value, missing):
        return trace.nodes, poutine.trace(program).get_trace().nodes


def test_the_model_gets_the_guides_values() -> None:
    guided, modelled = replayed(model, guide)

    assert modelled["w"]["value"] is guided["w"]["value"]
    assert modelled["w"]["fn"].loc == 5.0
    assert modelled["obs"]["value"] == 0.0


def test_infer_dictionaries_are_merged_and_the_models_win() -> None:
    """Pyro's replay puts the guide's in the place of the model's."""
    guided, modelled = replayed(model, guide)
    assert modelled["w"]["infer"] == {"said": "model", "model": True, "guide": True}
    assert guided["w"]["infer"] == {"said": "guide", "guide": True}

    pyros: Any = poutine.trace(poutine.replay(model, poutine.trace(guide).get_trace())).get_trace()
    assert "model" not in pyros.nodes["w"]["infer"]


def test_the_value_is_a_function_of_both_messages() -> None:
    _, modelled = replayed(model, guide, lambda q, p: q["fn"].loc + p["fn"].loc)

    assert modelled["w"]["value"] == 5.0


def test_a_site_that_the_guide_lacks() -> None:
    with pytest.raises(KeyError, match="w"):
        replayed(model, lambda: None)


def test_plates_of_the_model_alone_draw_their_own_indices() -> None:
    def subsampled() -> None:
        with pyro.plate("data", 10, subsample_size=3):
            pyro.sample("obs", dist.Normal(0.0, 1.0), obs=torch.ones(3))

    _, modelled = replayed(subsampled, lambda: None)

    assert len(modelled["data"]["value"]) == 3


def test_plates_of_both_take_the_guides_indices() -> None:
    def subsampled() -> None:
        with pyro.plate("data", 1000, subsample_size=3):
            pass

    guided, modelled = replayed(subsampled, subsampled)

    assert torch.equal(modelled["data"]["value"], guided["data"]["value"])


def test_parameters_are_heard_and_not_stored() -> None:
    layer = nn.Linear(2, 3)

    with poutine.trace(param_only=True) as heard:
        emit_parameters(layer.named_parameters())

    assert dict(heard_parameters(heard.trace)) == dict(layer.named_parameters())
    assert not list(pyro.get_param_store().keys())
    values: Any = [node["value"] for node in heard.trace.nodes.values()]
    assert not any(value.requires_grad for value in values)


def test_without_anyone_to_hear_nothing_is_said() -> None:
    layer = nn.Linear(2, 3)

    emit_parameters(layer.named_parameters())

    assert pyro.get_param_store().param_name(layer.weight) is None


def test_the_store_knows_the_names() -> None:
    layer = nn.Linear(2, 3)
    with poutine.trace():
        emit_parameters(layer.named_parameters())
        emit_parameters(layer.named_parameters())

    assert pyro.get_param_store().param_name(layer.weight) == "weight"
    assert pyro.get_param_store().param_name(nn.Parameter(torch.zeros(1))) is None


def test_the_store_keeps_no_network_alive() -> None:
    layer = nn.Linear(2, 3)
    with poutine.trace():
        emit_parameters(layer.named_parameters())
    names = pyro.get_param_store()._param_to_name
    assert len(names) == 2

    alive = weakref.ref(layer.weight)
    del layer
    gc.collect()

    assert alive() is None and not names


def test_equal_names_of_two_modules() -> None:
    first, second = nn.Linear(2, 3), nn.Linear(2, 3)

    with poutine.trace(param_only=True) as heard:
        for _ in range(2):
            emit_parameters(first.named_parameters())
            emit_parameters(second.named_parameters())

    found = dict(heard_parameters(heard.trace))
    assert list(found) == ["weight", "bias", "weight_2", "bias_2"]
    assert found["weight"] is first.weight and found["weight_2"] is second.weight


def test_names_of_parameters_and_sites_do_not_clash() -> None:
    layer = nn.Linear(2, 3)

    with poutine.trace() as heard:
        pyro.sample("weight", dist.Normal(0.0, 1.0))
        pyro.param("bias", torch.zeros(3))
        emit_parameters(layer.named_parameters())

    assert dict(heard_parameters(heard.trace))["weight_2"] is layer.weight
    assert dict(heard_parameters(heard.trace))["bias_2"] is layer.bias


def test_stored_parameters_are_read_anew() -> None:
    pyro.param("scale", torch.tensor(2.0), constraint=dist.constraints.positive)
    stored = StoredParameters(["scale", "nowhere"])
    assert list(stored) == ["scale"] and len(stored) == 1

    pyro.get_param_store()["scale"] = torch.tensor(1.0)

    assert stored["scale"].item() == 0.0


def test_traces_are_no_handlers_that_change_a_program() -> None:
    with poutine.trace(), poutine.scale(scale=2.0) as scale:
        assert active_handlers() == [scale]
    assert not active_handlers()
