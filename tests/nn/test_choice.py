"""Layers of attention among those that are converted, and gates of its heads."""

from typing import Any

import pyro
import pytest
import torch
from pyro import poutine
from pyro.distributions import Categorical
from torch import Tensor, nn

from pyro_sparse.distributions import L0, EmpiricalNormal, LogUniform
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import TraceSparse_ELBO
from pyro_sparse.nn import Attention, Selector, all_but, bayesianize, by_name, by_type, layers
from tests.nn.networks import priors


def net(batch_first: bool = True) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(8, 4, 12, dropout=0.0, batch_first=batch_first)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


PARTS = ("q", "k", "v", "out")


@pytest.mark.parametrize(
    "select", [by_type(nn.MultiheadAttention), by_name("*.self_attn"), by_name("*attn.*") & layers]
)
def test_attention_is_selected_by_its_own_name_or_its_parts(select: Selector) -> None:
    new = bayesianize(net(), weight=LogUniform(), select=select)

    sites = {f"layers.{i}.self_attn.{part}.weight" for i in range(2) for part in PARTS}
    assert priors(new).keys() == sites


def test_what_is_not_selected_stays_torchs() -> None:
    new = bayesianize(net(), weight=LogUniform(), select=by_name("*linear1"))

    assert not [m for m in new.modules() if isinstance(m, Attention)]
    assert priors(new).keys() == {f"layers.{i}.linear1.weight" for i in range(2)}


def test_all_but_counts_projections() -> None:
    choice = all_but(net(), last=6)

    new = bayesianize(net(), weight=LogUniform(), select=choice)

    sites = {f"layers.0.self_attn.{part}.weight" for part in PARTS}
    assert priors(new).keys() == sites | {f"layers.0.linear{i}.weight" for i in (1, 2)}


def test_attention_that_cannot_be_converted_is_named() -> None:
    attention = nn.MultiheadAttention(8, 2, add_bias_kv=True)

    with pytest.raises(ValueError, match="'0', a MultiheadAttention, whose parameters cannot"):
        bayesianize(nn.Sequential(attention), weight=LogUniform(), select=by_name("0"))


def test_gates_of_heads_alone() -> None:
    new = bayesianize(net(), gate=L0(0.5), gate_dim="head")

    found = priors(new)
    assert found.keys() == {f"layers.{i}.self_attn.out.gate" for i in range(2)}
    assert all(prior.shape == (4,) for prior in found.values())
    assert found["layers.0.self_attn.out.gate"].base.penalty == 0.5 * 8 * 2


def test_heads_are_where_attention_is_read() -> None:
    with pytest.raises(ValueError, match=r"'layers.0.linear1' is a Linear that reads no heads"):
        bayesianize(net(), gate=L0(1.0), gate_dim={"layers.0.linear1": "head"})


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("given", [True, False])
def test_a_head_is_drawn_once_an_example(batch_first: bool, given: bool) -> None:
    """Equal examples see equal values of the gates at all of their positions, and only they."""
    attention = Attention(8, 4, batch_first=batch_first)
    where = (0 if batch_first else 1) if given else None
    model = bayesianize(attention, gate=L0(1.0), gate_dim="head", batch_dim=where)
    guide = AutoSparse(model, init_gate_prob=0.5)
    x = torch.randn(1, 1, 8).expand(6, 40, 8)
    x = x.transpose(0, 1) if batch_first else x

    with torch.no_grad(), poutine.block():
        result = poutine.replay(model, trace=poutine.trace(guide).get_trace())(x, x, x)[0]

    rows = result if batch_first else result.transpose(0, 1)
    torch.testing.assert_close(rows, rows[:, :1].expand_as(rows))
    assert len({tuple(row) for row in rows[:, 0].tolist()}) > 10


def test_gates_multiply_what_heads_saw() -> None:
    attention = Attention(8, 4, batch_first=True)
    model = bayesianize(attention, gate=L0(1.0), gate_dim="head")
    x, gate = torch.randn(2, 5, 8), torch.tensor([1.0, 0.0, 0.5, 0.0])
    seen: list[Tensor] = []
    attention.attend.register_forward_hook(lambda module, args, result: seen.append(result))

    found = poutine.condition(model, {"out.gate": gate})(x, x, x, need_weights=False)[0]

    attention(x, x, x, need_weights=False)
    torch.testing.assert_close(found, attention.out(seen[0] * gate.repeat_interleave(2)))


@pytest.mark.parametrize("batch_first", [True, False])
def test_all_of_it_trains(batch_first: bool) -> None:
    """Weights with a proper prior count where their head is open."""
    model = Pooled(
        bayesianize(
            net(batch_first),
            weight=EmpiricalNormal(),
            gate=L0(0.1),
            gate_dim=lambda name, _: {"out": "head", "linear2": "in"}.get(name.split(".")[-1]),
        ),
        positions=1 if batch_first else 0,
    )
    guide = AutoSparse(model, init_gate_prob=0.5)
    x = torch.randn(6, 5, 8) if batch_first else torch.randn(5, 6, 8)

    for grad in (True, False):
        with torch.set_grad_enabled(grad):
            loss = TraceSparse_ELBO()(model, guide)(x, torch.randint(8, (6,)))
        if grad:
            loss.backward()

    for name, parameter in guide.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        # Equal keys change no attention weights, and what hits only them has no gradient.
        assert parameter.grad.any(), name


class Pooled(nn.Module):
    """A likelihood of the mean over positions."""

    def __init__(self, inner: nn.Module, positions: int) -> None:
        super().__init__()
        self.inner = inner
        self.positions = positions

    def forward(self, x: Tensor, y: Tensor) -> None:
        logits = self.inner(x).mean(self.positions)
        with pyro.plate("data", 6, subsample=y):
            pyro.sample("obs", Categorical(logits=logits), obs=y)


def test_closed_heads_do_not_count_in_the_divergence() -> None:
    laws: Any = {"weight": EmpiricalNormal(), "gate": L0(0.0), "gate_dim": "head"}
    model = Pooled(bayesianize(net(), select=by_name("layers.0.*.out"), **laws), positions=1)
    guide = AutoSparse(model)
    site = "layers.0.self_attn.out"
    logits = guide.get_parameter(f"sites.{site}.gate.base__logits")
    elbo = TraceSparse_ELBO()
    kl = {}

    for name, values in {"open": [9.0] * 4, "half": [9.0, -9.0, 9.0, -9.0]}.items():
        with torch.no_grad():
            logits.copy_(torch.tensor(values))
            elbo(model, guide)(torch.randn(6, 5, 8), torch.randint(8, (6,)))
        assert elbo.parts is not None
        kl[name] = float(elbo.parts.kl[f"{site}.weight"])

    assert 0 < kl["half"] < 0.7 * kl["open"]
