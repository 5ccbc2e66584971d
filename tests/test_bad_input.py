"""Bad input gets one clear error: the rule, the offending value or site, and what to do."""

import sys
from collections.abc import Callable
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from torch import nn

from pyro_sparse.distributions import L0, L2, HardConcrete, LogUniform
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import TraceSparse_ELBO
from pyro_sparse.inspect import to_arviz
from pyro_sparse.nn import Classifier, Regressor, bayesianize
from pyro_sparse.prune import masks

X, Y = torch.randn(5, 4), torch.tensor([0, 2, 1, 1, 0])
ELBO = TraceSparse_ELBO()


def network(**laws: Any) -> nn.Module:
    return bayesianize(nn.Linear(4, 3), **(laws or {"weight": LogUniform()}))


def classifier(**laws: Any) -> Classifier:
    return Classifier(network(**laws), num_data=50)


def gated() -> tuple[Classifier, AutoSparse]:
    model = classifier(weight=LogUniform(), gate=L0(1.0))
    return model, AutoSparse(model)


def without_a_site(x: torch.Tensor, y: torch.Tensor) -> None:
    """A guide that forgets the gate."""
    law = dist.Normal(torch.zeros(3, 4), 1.0)
    pyro.sample("weight", law.to_event(2))


def one_more(*args: Any) -> None:
    AutoSparse(classifier())(*args)
    pyro.sample("more", dist.Normal(0.0, 1.0))


def of_another_shape(x: torch.Tensor, y: torch.Tensor) -> None:
    pyro.sample("weight", dist.Normal(torch.zeros(2, 4), 1.0).to_event(2))


def unequal_scales() -> Any:
    model = classifier()
    return ELBO.loss(poutine.scale(model, 0.1), AutoSparse(model), X, Y)


LAWS: dict[str, tuple[Callable[[], Any], str]] = {
    "parameters of shapes that do not fit": (
        lambda: HardConcrete(torch.ones(2), logits=torch.zeros(3)),
        r"shapes broadcast, got .*temperature \(2,\).*Align them",
    ),
    "logits that are not finite": (
        lambda: HardConcrete(logits=torch.tensor([0.0, float("nan")])),
        r"finite logits, got nan \(1 of 2 entries\)\. \w+",
    ),
    "a penalty that is not finite": (
        lambda: L2(float("inf")),
        r"L2 needs a finite penalty >= 0, got inf\. \w+",
    ),
    "a temperature of 0": (
        lambda: HardConcrete(0.0, logits=0.0),
        r"temperature > 0, got 0\. The papers use 2/3",
    ),
    "a low end of 0": (
        lambda: HardConcrete(logits=0.0, low=0.0),
        r"low < 0, got 0\.0\. The papers use -0\.1",
    ),
    "a high end of 1": (
        lambda: HardConcrete(logits=0.0, high=1.0),
        r"high > 1, got 1\.0\. The papers use 1\.1",
    ),
    "a probability above 1": (
        lambda: HardConcrete(probs=1.5),
        r"probs in \[0, 1\], got 1\.5\. Pass log odds as `logits`",
    ),
    "both probs and logits": (
        lambda: HardConcrete(probs=0.5, logits=0.0),
        r"either probs or logits, got both\. Give exactly one",
    ),
    "neither probs nor logits": (
        lambda: HardConcrete(),
        r"either probs or logits, got neither\. Give exactly one",
    ),
    "a negative penalty": (
        lambda: L0(-2.0),
        r"L0 needs a finite penalty >= 0, got -2\. Use 0 for no penalty",
    ),
}

PROGRAMS: dict[str, tuple[Callable[[], Any], str]] = {
    "labels of another shape": (
        lambda: ELBO.loss(model := classifier(), AutoSparse(model), X, Y[:3]),
        r"logits have shape \(B, classes\) and its labels \(B,\), got \(5, 3\) and \(3,\)",
    ),
    "responses of another shape": (
        lambda: ELBO.loss(model := Regressor(network(), 50), AutoSparse(model), X, Y.float()),
        r"shape of the network's outputs, got \(5,\) and \(5, 3\)\. Reshape",
    ),
    "a guide's site of another shape": (
        lambda: ELBO.loss(classifier(), of_another_shape, X, Y),
        r"at 'weight' the model states .*\(3, 4\), the guide .*\(2, 4\)\. Use \.expand",
    ),
    "an unknown criterion": (
        lambda: masks(gated()[1], "magnitude"),
        r"criterion.*'magnitude'",
    ),
    "a select that selects nothing": (
        lambda: bayesianize(nn.Linear(4, 3), weight=LogUniform(), select=lambda *_: False),
        r"Nothing is selected.*\['Linear'\].*select\(name, module\) must be true",
    ),
    "a guide without a site of the model": (
        lambda: ELBO.loss(gated()[0], without_a_site, X, Y),
        r"guide does not sample \['gate'\].*needs a pyro\.sample statement in the guide",
    ),
    "a guide with a site the model lacks": (
        lambda: ELBO.loss(classifier(), one_more, X, Y),
        r"guide samples \['more'\], which the model does not\. Remove the sites, or mark",
    ),
    "a model without an observed site": (
        lambda: ELBO.loss(net := network(), AutoSparse(net), X),
        r"observes at least one site.*none of \['weight'\]\..*inside Classifier or Regressor",
    ),
    "a model without its data": (
        lambda: ELBO.loss(model := classifier(), AutoSparse(model), X),
        r"guide does not sample \['obs'\]|observes at least one site",
    ),
    "unequal scales": (
        unequal_scales,
        r"one scale.*at 'weight' the model states 0\.1, the guide 1\.0.*kl_weight=",
    ),
    "data on another device": (
        lambda: ELBO.loss(model := classifier(), AutoSparse(model), X.to("meta"), Y),
        r"the data is on 'meta', the network on 'cpu'\. Move one of them with \.to\(device\)",
    ),
}


@pytest.mark.parametrize("name", LAWS | PROGRAMS)
def test_one_clear_error(name: str) -> None:
    call, message = (LAWS | PROGRAMS)[name]

    with pytest.raises(ValueError, match=rf"(?s){message}"):
        call()


def test_an_improper_law_says_what_to_do_instead_of_sampling() -> None:
    with pytest.raises(
        TypeError, match=r"improper .*cannot be sampled\. Give its site a proper law"
    ):
        LogUniform().sample()


def test_arviz_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "arviz", None)

    model, guide = gated()
    ELBO.differentiable_loss(model, guide, X, Y).backward()
    torch.optim.Adam(guide.parameters()).step()

    with pytest.raises(ImportError, match=r"arviz.*pip install 'pyro-sparse\[arviz\]'"):
        to_arviz(model, guide, X, Y, num_samples=2)
