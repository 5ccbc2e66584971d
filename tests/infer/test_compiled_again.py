"""The compiled bound, where tensors play two parts, programs are new, or the bound is copied."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pyro
import pytest
import torch
from pyro.distributions import Categorical, Normal
from torch import Tensor

from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import CompileWarning, TraceSparse_ELBO, UntraceableError, compiled
from tests.infer.test_compiled import Scaled, X, Y, network, point_guide


def plain(x: Tensor) -> None:
    w = pyro.sample("w", Normal(torch.zeros(3, 6), 1.0).to_event(2))
    with pyro.plate("data", len(x)):
        pyro.sample("y", Categorical(logits=x @ w.T), obs=Y[: len(x)])


def test_an_argument_that_the_model_keeps_too(captured: list) -> None:
    model = Scaled()
    model.register_buffer("buffer", torch.tensor(2.0))

    def shifted(x: Tensor, shift: Tensor) -> None:
        model(x + shift)

    def guide(x: Tensor, shift: Tensor) -> None:
        point_guide(x)

    elbo = TraceSparse_ELBO(compile=True)
    for shift in (model.buffer, model.buffer, model.buffer, torch.tensor(-1.0)):
        loss = elbo.loss(shifted, guide, X, shift).item()
    expected = TraceSparse_ELBO().loss(shifted, guide, X, shift).item()
    assert loss == pytest.approx(expected, rel=1e-3)
    assert len(captured) == 1


@pytest.mark.parametrize("gradients", ["joint", "loss"])
def test_what_is_unfrozen_is_trained(gradients: str, captured: list) -> None:
    model = network()
    guide = AutoSparse(model)
    guide.requires_grad_(False)
    bound = TraceSparse_ELBO(compile=True, gradients=gradients)(model, guide)
    for _ in range(3):
        bound(X, Y).backward()
    guide.requires_grad_(True)
    bound(X, Y).backward()
    assert all(parameter.grad is not None for parameter in guide.parameters())


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda b: pickle.loads(pickle.dumps(b))])
def test_a_copy_has_no_graphs(copied: Callable, captured: list) -> None:
    elbo, model = TraceSparse_ELBO(compile=True), network()
    guide = AutoSparse(model)
    for _ in range(3):
        elbo.loss(model, guide, X, Y)
    twin = copied(elbo)
    with torch.no_grad():
        for parameter in guide.parameters():
            parameter.add_(1.0)
    values = []
    for bound in (TraceSparse_ELBO(), twin, twin):
        torch.manual_seed(1)
        values.append(bound.loss(model, guide, X, Y).item())
    assert values == pytest.approx([values[0]] * 3, rel=1e-4)


class Opaque:
    pass


def test_opaque_arguments_are_refused(captured: list) -> None:
    def model(x: Opaque) -> None:
        plain(X)

    def guide(x: Opaque) -> None:
        point_guide(X)

    with pytest.raises(UntraceableError, match=r"Opaque.*register_dataclass"):
        TraceSparse_ELBO(compile=True).loss(model, guide, Opaque())
    elbo = TraceSparse_ELBO(compile="auto")
    with pytest.warns(CompileWarning, match="Opaque"):
        elbo.loss(model, guide, Opaque())
    elbo.loss(model, guide, Opaque())  # warned once


def test_models_that_are_always_new_are_named(captured: list) -> None:
    elbo = TraceSparse_ELBO(compile=True)
    with pytest.warns(CompileWarning, match="same model and guide"):
        for _ in range(12):
            elbo.loss(lambda x: plain(x), point_guide, X)
    assert not captured


def test_the_oldest_situations_are_forgotten(
    captured: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "KEPT", 2)
    recent: Any = compiled._Recent()
    for key in "abac":
        recent[key] = key
    assert list(recent) == ["a", "c"]


def test_the_precision_of_variances_may_change(captured: list) -> None:
    model, elbo = network(), TraceSparse_ELBO(compile=True)
    guide = AutoSparse(model)
    for _ in range(3):
        elbo.loss(model, guide, X, Y)
    elbo.variance_dtype = torch.bfloat16
    for _ in range(2):
        elbo.loss(model, guide, X, Y)
    assert len(captured) == 2
