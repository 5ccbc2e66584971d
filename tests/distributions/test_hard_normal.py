import math
from typing import Any

import mpmath  # type: ignore[import-untyped]
import pytest
import torch
from pyro.distributions import Normal
from torch.distributions import kl_divergence

import pyro_sparse.kl  # noqa: F401
from pyro_sparse.distributions import HardNormal, Rectified


def test_by_hand() -> None:
    gate = HardNormal(torch.tensor([-0.5, 0.5, 1.5]).double(), 0.5)

    expected = torch.tensor([0.158655, 0.841345, 0.998650]).double()
    torch.testing.assert_close(gate.prob_active, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(
        gate.log_prob_one.exp(), expected.flip(0).neg() + 1, rtol=0, atol=1e-6
    )
    assert gate.deterministic.tolist() == [0.0, 0.5, 1.0]


def test_closed_forms_are_those_of_any_clipped_law() -> None:
    loc, scale = torch.tensor([-0.5, 0.3, 1.2]).double(), torch.tensor([0.4, 0.6, 0.9]).double()
    closed, general = HardNormal(loc, scale), Rectified(Normal(loc, scale))

    for name in ("prob_active", "log_prob_zero", "log_prob_one", "mean", "variance"):
        torch.testing.assert_close(getattr(closed, name), getattr(general, name))


def test_scale_defaults_to_the_papers() -> None:
    assert HardNormal(0.0).scale == 0.5


def test_a_narrow_law_keeps_its_divergence() -> None:
    """Fixed nodes over the whole interval would miss a density a thousandth of it wide."""
    loc, scale = torch.tensor([0.4, 0.6]).double(), torch.tensor([1e-3, 2e-3]).double()
    p = Normal(torch.tensor(0.5).double(), 0.5)

    kl = kl_divergence(HardNormal(loc, scale), HardNormal(p.loc, p.scale))
    torch.testing.assert_close(kl, kl_divergence(Normal(loc, scale), p), rtol=1e-6, atol=0)


@pytest.mark.parametrize("scale", [1e-3, 0.5, 20.0])
def test_single_precision_at_the_extremes(scale: float) -> None:
    loc = torch.linspace(-20, 20, 41, requires_grad=True)
    width = torch.tensor(scale, requires_grad=True)
    gate = HardNormal(loc, width)
    outputs = [
        gate.rsample((100,)),
        gate.prob_active,
        gate.active_logits,
        gate.mean,
        gate.variance,
        *(gate.log_prob(torch.full_like(loc, z)) for z in (0.0, 0.5, 1.0)),
        kl_divergence(gate, HardNormal(0.5)),
    ]

    for output in outputs:
        gradients = torch.autograd.grad(output.sum(), [loc, width], allow_unused=True)
        assert output.isfinite().all()
        assert all(g is None or g.isfinite().all() for g in gradients)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loc": math.nan}, "finite loc, got nan"),
        ({"loc": 0.0, "scale": 0.0}, "scale > 0, got 0"),
        ({"loc": torch.zeros(2), "scale": torch.ones(3)}, r"loc \(2,\), scale \(3,\)"),
    ],
)
def test_bad_input(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HardNormal(**arguments)


@pytest.mark.parametrize("loc, scale", [(-5.0, 0.5), (5.0, 0.4), (0.5, 1e-4), (0.3, 30.0)])
def test_moments_do_not_cancel(loc: float, scale: float) -> None:
    with mpmath.workdps(60):
        law = (mpmath.mpf(loc), mpmath.mpf(scale))
        open_, first = (_clipped(*law, power) for power in (0, 1))
        square = _clipped(*law, 2)
        expected = float(open_), float(first), float(square - first**2)

    gate = HardNormal(torch.tensor(loc).double(), scale)
    found = gate.prob_active.item(), gate.mean.item(), gate.variance.item()
    assert found == pytest.approx(expected, rel=1e-8)


def _clipped(loc: Any, scale: Any, power: int) -> Any:
    """Expectation of z^power where z is not 0."""

    def inside(x: Any) -> Any:
        return x**power * mpmath.npdf(x, loc, scale)

    middle = min(max(loc, 0), 1)
    steps = [min(max(middle + k * scale, 0), 1) for k in range(-12, 13)]
    return mpmath.quad(inside, [0, *steps, 1]) + mpmath.ncdf((loc - 1) / scale)
