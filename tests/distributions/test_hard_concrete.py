import math
from typing import Any

import pyro
import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from pyro_sparse.distributions import HardConcrete

# log alpha, P(z != 0), P(z = 1), test-time gate; temperature 2/3, interval (-0.1, 1.1).
REFERENCE = torch.tensor(
    [
        [-5.0, 0.032252, 0.001360, 0.0],
        [-2.397895, 0.310176, 0.018048, 0.0],
        [0.0, 0.831822, 0.168178, 0.5],
        [2.0, 0.973367, 0.599025, 0.956956],
        [2.397895, 0.981952, 0.689824, 1.0],
        [5.0, 0.998640, 0.967748, 1.0],
    ],
    dtype=torch.float64,
)


def test_reference_values() -> None:
    log_alpha, active, one, deterministic = REFERENCE.T
    gate = HardConcrete(logits=log_alpha)

    for found, expected in [
        (gate.prob_active, active),
        (gate.log_prob_one.exp(), one),
        (gate.deterministic, deterministic),
    ]:
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_closing_point_and_half_probability_differ() -> None:
    closing = HardConcrete(logits=torch.tensor(-math.log(11)).double())
    half = HardConcrete(logits=torch.tensor(-1.5986).double())

    assert closing.deterministic < 1e-7
    torch.testing.assert_close(closing.prob_active.item(), 0.310176, rtol=0, atol=1e-5)
    torch.testing.assert_close(half.prob_active.item(), 0.5, rtol=0, atol=1e-4)
    torch.testing.assert_close(half.deterministic.item(), 0.102, rtol=0, atol=1e-3)


def test_probs_is_the_sigmoid_of_the_logits() -> None:
    by_probs, by_logits = HardConcrete(probs=0.3), HardConcrete(logits=math.log(0.3 / 0.7))

    torch.testing.assert_close(by_probs.logits, by_logits.logits)
    torch.testing.assert_close(by_logits.probs, torch.tensor(0.3))
    assert HardConcrete(probs=torch.tensor([0.0, 1.0])).logits.isfinite().all()


def test_arguments_are_ordered_as_in_relaxed_bernoulli() -> None:
    gate = HardConcrete(torch.tensor(0.5), torch.tensor([0.2]), None)

    assert gate.temperature == 0.5
    torch.testing.assert_close(gate.probs, torch.tensor([0.2]))
    assert (gate.low, gate.high) == (-0.1, 1.1)


def test_precision_of_a_number_follows_the_tensor() -> None:
    assert HardConcrete(logits=torch.zeros(2).double()).temperature.item() == 2 / 3
    assert HardConcrete(torch.tensor(0.5).double(), logits=1.0).logits.dtype == torch.float64


def test_mean_by_quadrature() -> None:
    gate = HardConcrete(logits=torch.tensor([-6.0, -2.0, 0.0, 3.0]).double())
    u = (torch.arange(1_000_000).double().unsqueeze(-1) + 0.5) / 1_000_000

    torch.testing.assert_close(gate.mean, gate.icdf(u).mean(0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("temperature", [0.1, 2 / 3, 2.0])
def test_single_precision_at_the_extremes(temperature: float) -> None:
    logits = torch.linspace(-20, 20, 81).requires_grad_()
    heat = torch.tensor(temperature, requires_grad=True)
    gate = HardConcrete(heat, logits=logits)
    draws = gate.rsample((1000,))
    outputs = [
        draws,
        gate.prob_active,
        gate.active_logits,
        gate.mean,
        gate.variance,
        gate.deterministic,
        *(gate.log_prob(torch.full_like(logits, z)) for z in (0.0, 1e-6, 0.5, 1 - 1e-6, 1.0)),
    ]

    for output in outputs:
        assert output.isfinite().all()
        gradients = torch.autograd.grad(output.sum(), [logits, heat], allow_unused=True)
        assert all(g is None or g.isfinite().all() for g in gradients)


def test_noise_of_zero_gives_a_finite_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "rand", lambda shape, **kwargs: torch.zeros(shape, **kwargs))
    logits, heat = torch.zeros(3, requires_grad=True), torch.tensor(0.5, requires_grad=True)
    draws = HardConcrete(heat, logits=logits).rsample()
    gradients = torch.autograd.grad(draws.sum(), [logits, heat])

    assert (draws == 0).all()
    assert all(g.isfinite().all() for g in gradients)


def test_tracing_gives_the_same_gradient() -> None:
    def loss(logits: torch.Tensor) -> torch.Tensor:
        gate = HardConcrete(logits=logits)
        return gate.mean.sum() + gate.log_prob(torch.full_like(logits, 0.3)).sum()

    def gradient(logits: torch.Tensor) -> torch.Tensor:
        logits = logits.requires_grad_()
        return torch.autograd.grad(loss(logits), logits)[0]

    logits = torch.tensor([-1.0, 2.0])
    with pyro.validation_enabled(False):
        graph = make_fx(gradient)(logits.clone())

    torch.testing.assert_close(graph(logits.clone()), gradient(logits.clone()))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either probs or logits, got neither"),
        ({"probs": 0.5, "logits": 0.0}, "either probs or logits, got both"),
        ({"temperature": 0.0, "logits": 0.0}, "temperature > 0, got 0"),
        ({"temperature": torch.tensor([1.0, -2.0]), "logits": 0.0}, r"got -2 \(1 of 2 entries\)"),
        ({"temperature": math.nan, "logits": 0.0}, "temperature > 0, got nan"),
        ({"probs": 1.5}, r"probs in \[0, 1\], got 1.5"),
        ({"probs": torch.tensor([0.5, math.nan])}, r"probs in \[0, 1\], got nan"),
        ({"logits": math.inf}, "finite logits, got inf"),
        ({"logits": 0.0, "low": 0.0}, "low < 0, got 0.0"),
        ({"logits": 0.0, "high": 1.0}, "high > 1, got 1.0"),
        ({"logits": torch.zeros(3), "temperature": torch.ones(2)}, r"temperature \(2,\)"),
    ],
)
def test_bad_input(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HardConcrete(**arguments)


def test_validation_can_be_switched_off() -> None:
    assert HardConcrete(logits=math.inf, validate_args=False).prob_active == 1


def test_numbers_have_the_batch_shape_of_a_wide_temperature() -> None:
    gate = HardConcrete(torch.tensor([0.5, 1.0]), logits=torch.tensor(0.0))

    shapes = {getattr(gate, name).shape for name in ("deterministic", "probs", "prob_active")}
    assert shapes == {gate.batch_shape} == {(2,)}
    with pytest.raises(ValueError, match=r"HardConcrete .* temperature \(2,\), logits \(3,\)"):
        HardConcrete(torch.ones(2), logits=torch.zeros(3))
