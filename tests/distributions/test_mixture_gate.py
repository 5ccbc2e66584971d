import math
from collections.abc import Callable
from typing import Any

import pyro
import pytest
import torch
from pyro.distributions import VonMises
from torch import Tensor
from torch.distributions import Kumaraswamy
from torch.fx.experimental.proxy_tensor import make_fx

from pyro_sparse.distributions import (
    Mirrored,
    MixtureGate,
    PowerFunction,
    Smoothing,
    TruncatedExponential,
    UniformExponential,
)

FAMILIES: list[Callable[[Tensor], Smoothing]] = [
    TruncatedExponential,
    UniformExponential,
    PowerFunction,
]


@pytest.fixture(params=FAMILIES, ids=lambda family: family.__name__)
def family(request: pytest.FixtureRequest) -> Callable[[Tensor], Smoothing]:
    return request.param


def by_probability(family: Callable[[Tensor], Smoothing]) -> tuple[Tensor, Tensor, MixtureGate]:
    q = torch.tensor([0.2, 0.7], dtype=torch.float64, requires_grad=True)
    beta = torch.tensor(4.0, dtype=torch.float64, requires_grad=True)
    return q, beta, MixtureGate(logits=q.logit(), off=family(beta))


def test_implicit_gradient_is_the_papers(family: Callable[[Tensor], Smoothing]) -> None:
    """Equations 16 and 27 of the supplement, at the drawn values."""
    q, beta, gate = by_probability(family)
    value = gate.rsample((1000,))
    by_q, by_beta = torch.autograd.grad(value.sum(), [q, beta])

    z, off, on = value.detach(), gate.off, gate.on
    density = (1 - q) * off.log_prob(z).exp() + q * on.log_prob(z).exp()
    expected = (off.cdf(z) - on.cdf(z)) / density
    torch.testing.assert_close(by_q, expected.sum(0), rtol=1e-6, atol=0)

    mixed = ((1 - q.detach()) * off.cdf(z) + q.detach() * on.cdf(z)) / density.detach()
    (expected,) = torch.autograd.grad(-mixed.sum(), beta)
    torch.testing.assert_close(by_beta, expected, rtol=1e-6, atol=0)


def test_implicit_gradient_is_the_pathwise_one() -> None:
    """The exponential mixture has a closed inverse cdf, with a derivative of its own."""
    q, beta, gate = by_probability(TruncatedExponential)
    value = gate.rsample((1000,))
    implicit = torch.autograd.grad(value.sum(), [q, beta], retain_graph=True)

    again = gate.icdf(gate.cdf(value.detach()).detach())
    torch.testing.assert_close(again, value, rtol=0, atol=1e-9)
    pathwise = torch.autograd.grad(again.sum(), [q, beta])
    torch.testing.assert_close(implicit, pathwise, rtol=1e-5, atol=0)


def test_own_formula_and_the_general_one_agree(family: Callable[[Tensor], Smoothing]) -> None:
    _, beta, gate = by_probability(family)
    general = MixtureGate(logits=gate.logits, off=gate.off, on=Mirrored(gate.off))

    u = torch.linspace(0.02, 0.98, 7, dtype=torch.float64).unsqueeze(-1)
    torch.testing.assert_close(gate.icdf(u), general.icdf(u), rtol=1e-6, atol=1e-12)
    draws = [law.rsample((50_000,)).square().mean(0) for law in (gate, general)]
    slopes = [torch.autograd.grad(d.sum(), beta, retain_graph=True)[0] for d in draws]
    torch.testing.assert_close(*draws, rtol=0, atol=0.02)
    torch.testing.assert_close(*slopes, rtol=0.1, atol=0)


EXTREMES = torch.tensor([1e-6, 1e-3, 0.5, 1 - 1e-3, 1 - 1e-6]).logit()


@pytest.mark.parametrize("strength", [0.5, 8.0, 20.0, 100.0])
def test_single_precision_at_the_extremes(
    family: Callable[[Tensor], Smoothing], strength: float
) -> None:
    logits = EXTREMES.clone().requires_grad_()
    beta = torch.full((5,), strength, requires_grad=True)
    gate = MixtureGate(logits=logits, off=family(beta))
    draws = gate.rsample((100_000,))
    outputs = [
        draws,
        gate.mean,
        gate.variance,
        gate.prob_active,
        gate.log_prob(draws.detach()),
        gate.icdf(torch.linspace(0, 1, 101).unsqueeze(-1)),
    ]

    for output in outputs:
        gradients = torch.autograd.grad(output.sum(), [logits, beta], allow_unused=True)
        assert output.isfinite().all()
        assert all(g is None or g.isfinite().all() for g in gradients)


def test_single_precision_gradients_are_right(family: Callable[[Tensor], Smoothing]) -> None:
    """Mean gradients of single precision draws are the gradients of the mean.

    The exponential mixture only at small rates: its gradient lives in the middle of the
    interval, where a sharp one never draws.
    """
    for strength in (3.0, 6.0) if family is TruncatedExponential else (20.0, 80.0):
        logits = torch.tensor([-2.0, 0.0, 2.0], requires_grad=True)
        beta = torch.tensor(strength, requires_grad=True)
        gate = MixtureGate(logits=logits, off=family(beta))

        sampled = torch.autograd.grad(gate.rsample((400_000,)).mean(0).sum(), [logits, beta])
        exact = torch.autograd.grad(gate.mean.sum(), [logits, beta])
        torch.testing.assert_close(sampled[0], exact[0], rtol=0.05, atol=0)
        torch.testing.assert_close(sampled[1], exact[1], rtol=0, atol=2e-4)


def test_closed_inverse_in_single_precision() -> None:
    u = torch.linspace(0.001, 0.999, 999)
    for rate in (1.0, 20.0, 100.0):
        for q in (1e-6, 0.3, 1 - 1e-6):
            single = MixtureGate(probs=torch.tensor(q), off=TruncatedExponential(rate))
            exact = MixtureGate(
                probs=torch.tensor(q).double(),
                off=TruncatedExponential(torch.tensor(rate).double()),
            )
            z = single.icdf(u)
            assert z.isfinite().all()
            reached = exact.cdf(z.double())
            torch.testing.assert_close(reached.float(), u, rtol=0, atol=2e-5)


def test_test_time_gate() -> None:
    gate = MixtureGate(probs=torch.tensor([0.49, 0.5, 0.9]), off=PowerFunction(19.0))

    assert gate.deterministic.tolist() == [0.0, 0.5, pytest.approx(0.86)]
    assert not gate.has_atoms


def test_components_keep_their_shape_under_expand() -> None:
    gate = MixtureGate(logits=torch.zeros(3), off=PowerFunction(10.0)).expand((4, 3))

    assert gate.off.batch_shape == ()
    assert gate.sample((2,)).shape == (2, 4, 3)
    assert gate.mean.shape == gate.prob_active.shape == (4, 3)


def test_rates_may_be_wider_than_the_logits() -> None:
    gate = MixtureGate(logits=torch.tensor(0.0), off=PowerFunction(torch.tensor([5.0, 10.0])))

    assert gate.batch_shape == gate.prob_active.shape == gate.active_logits.shape == (2,)
    assert gate.rsample((3,)).shape == (3, 2)


def test_precision_follows_the_logits() -> None:
    gate = MixtureGate(logits=torch.zeros(3).double(), off=PowerFunction(10.0))

    assert gate.rsample().dtype == torch.float64


@pytest.mark.parametrize("joint", [True, False], ids=["joint", "loss only"])
def test_recorded_graphs_keep_the_gradient(
    family: Callable[[Tensor], Smoothing], joint: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One gradient, whether the graph is differentiated while it is recorded or afterwards."""
    uniform = torch.linspace(0.05, 0.95, 8)
    monkeypatch.setattr(torch, "rand", lambda shape, **kwargs: uniform.clone())
    monkeypatch.setattr(torch, "rand_like", lambda like: uniform.flip(0))

    def loss(logits: Tensor, beta: Tensor) -> Tensor:
        return MixtureGate(logits=logits, off=family(beta)).rsample().square().sum()

    def gradient(*leaves: Tensor) -> tuple[Tensor, ...]:
        leaves = tuple(leaf.detach().requires_grad_() for leaf in leaves)
        return torch.autograd.grad(loss(*leaves), leaves)

    leaves = torch.linspace(-1, 1, 8), torch.tensor(5.0)
    with pyro.validation_enabled(False):
        graph = make_fx(gradient if joint else loss)(*leaves)

    expected = gradient(*leaves)
    if joint:
        found = graph(*leaves)
    else:
        again = tuple(leaf.requires_grad_() for leaf in leaves)
        found = torch.autograd.grad(graph(*again), again)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"probs": 0.5}, ValueError, "component near 0, got none"),
        ({"off": PowerFunction(5.0)}, ValueError, "either probs or logits, got neither"),
        ({"probs": -0.1, "off": PowerFunction(5.0)}, ValueError, r"probs in \[0, 1\], got -0.1"),
        ({"logits": math.nan, "off": PowerFunction(5.0)}, ValueError, "finite logits, got nan"),
        ({"probs": 0.5, "off": VonMises(0.0, 1.0)}, TypeError, "VonMises lacks cdf"),
        (
            {"probs": 0.5, "off": PowerFunction(5.0), "on": VonMises(0.0, 1.0)},
            TypeError,
            "VonMises lacks cdf",
        ),
        ({"probs": 0.5, "off": 3.0}, TypeError, "needs a law .* got float"),
        (
            {"probs": torch.ones(3) / 2, "off": PowerFunction(torch.ones(2))},
            ValueError,
            r"logits \(3,\), off \(2,\)",
        ),
    ],
)
def test_bad_input(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        MixtureGate(**arguments)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:FutureWarning")  # torch's own
@pytest.mark.parametrize("make", FAMILIES)
def test_forward_derivatives_are_those_of_backward_mode(make: Callable) -> None:
    def mean(logits: Tensor, rate: Tensor) -> Tensor:
        torch.manual_seed(0)
        return MixtureGate(logits=logits, off=make(rate)).rsample((1000,)).mean()

    at = torch.tensor(0.3), torch.tensor(8.0)
    backward = torch.func.grad(mean, argnums=(0, 1))(*at)
    for index, wanted in enumerate(backward):
        along = tuple(torch.tensor(float(index == place)) for place in (0, 1))
        found = torch.func.jvp(mean, at, along)[1]
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)
        assert found != 0


def test_components_with_bad_ends_leave_no_broken_draws() -> None:
    """Torch's Kumaraswamy has no finite density where its draws round to an end."""
    off = Kumaraswamy(torch.tensor(0.2), torch.tensor(3.0))
    logits = torch.zeros(100_000, requires_grad=True)
    draws = MixtureGate(logits=logits, off=off).rsample()

    (gradient,) = torch.autograd.grad(draws.sum(), logits)
    assert ((draws >= 0) & (draws <= 1)).all()
    assert gradient.isfinite().all() and (gradient > 0).double().mean() > 0.5


@pytest.mark.parametrize("logits", [-200.0, -20.0, 20.0, 200.0])
def test_quantiles_far_from_even_odds(logits: float) -> None:
    gate = MixtureGate(logits=torch.tensor(logits), off=TruncatedExponential(8.0))
    u = torch.linspace(0.05, 0.95, 7, requires_grad=True)

    value = gate.icdf(u)

    torch.testing.assert_close(gate.cdf(value), u)
    (slope,) = torch.autograd.grad(value.sum(), u)
    torch.testing.assert_close(slope, (-gate.log_prob(value)).exp(), rtol=1e-3, atol=0)
