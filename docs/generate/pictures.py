"""A picture of each law, drawn from the law itself."""

__all__ = ["COLOURS", "STYLE", "draw_laws", "side_by_side"]

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from pyro.distributions import Laplace, Normal
from torch import Tensor
from torch.distributions import Gumbel, kl_divergence

from pyro_sparse.distributions import (
    L0,
    L2,
    EmpiricalNormal,
    GroupGaussianMixture,
    HardConcrete,
    HardNormal,
    LogUniform,
    Mirrored,
    MixtureGate,
    PowerFunction,
    Rectified,
    TruncatedExponential,
    TruncatedLogNormal,
    TruncatedLogUniform,
    UniformExponential,
)

COLOURS = ("#1f5a85", "#d9622b", "#4b8b3b", "#8a4f9e")
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "pyro_sparse",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": plt.cycler(color=COLOURS),
    "legend.frameon": False,
}
SIDES = ("left", "right")
TALLEST = 6.0  # of a density

Laws = Mapping[str, Any]
Moved = Mapping[str, Callable[[Tensor], Any]]


@dataclass(frozen=True)
class Gates:
    """Densities of gates, and what they do as a parameter moves."""

    laws: Laws
    moved: Moved
    along: str
    low: float = -4.0
    high: float = 4.0

    def draw(self, left: Axes, right: Axes) -> None:
        draw_density(left, self.laws)

        x = torch.linspace(self.low, self.high, 400)
        for number, (label, law) in enumerate(self.moved.items()):
            gate = law(x)
            colour = COLOURS[number]
            right.plot(x, gate.prob_active, color=colour, label=f"P(active) {label}".strip())
            later = f"at test time {label}".strip()
            right.plot(x, gate.deterministic, color=colour, linestyle="--", label=later)
        right.set(xlabel=self.along, ylim=(-0.05, 1.05))
        right.legend()


@dataclass(frozen=True)
class Components:
    """Densities of laws on the unit interval, and how often they exceed a value."""

    laws: Laws

    def draw(self, left: Axes, right: Axes) -> None:
        draw_density(left, self.laws)
        x = torch.linspace(0.001, 0.999, 500)
        for label, law in self.laws.items():
            right.plot(x, 1 - law.cdf(x), label=label)
        right.set(xlabel="t", ylabel="P(z > t)")


@dataclass(frozen=True)
class Priors:
    """A curve of each law, and divergences from it as a posterior moves."""

    curves: Mapping[str, Callable[[Tensor], Tensor]]
    ylabel: str
    divergences: Mapping[str, Callable[[Tensor], Tensor]]
    along: str
    span: tuple[float, float] = (-2.0, 2.0)
    moved: tuple[float, float] = (-5.0, 5.0)
    xlabel: str = "w"
    right_label: str = "divergence, nats"

    def draw(self, left: Axes, right: Axes) -> None:
        x = torch.linspace(*self.span, 801).round(decimals=6)
        for label, curve in self.curves.items():
            left.plot(x, curve(x), label=label)
        left.set(xlabel=self.xlabel, ylabel=self.ylabel)

        x = torch.linspace(*self.moved, 401)
        for number, (label, divergence) in enumerate(self.divergences.items()):
            style = "--" if number == 1 == len(self.divergences) - 1 else "-"
            right.plot(x, divergence(x), label=label, linestyle=style)
        right.set(xlabel=self.along, ylabel=self.right_label)
        for axes, shown in [(left, self.curves), (right, self.divergences)]:
            if len(shown) > 1:
                axes.legend()


def draw_density(axes: Axes, laws: Laws) -> None:
    """Densities inside the unit interval, and atoms as stems whose height is a probability."""
    x = torch.linspace(0.001, 0.999, 999)
    for number, (label, law) in enumerate(laws.items()):
        density = law.log_prob(x).exp().clamp(max=2 * TALLEST)
        axes.plot(x, density, color=COLOURS[number], label=label)
        if not getattr(law, "has_atoms", False):
            continue
        for side, end in [(-1, 0.0), (1, 1.0)]:
            height = law.log_prob(torch.tensor(end)).exp().item()
            place = end + side * 0.03 * (number + 1)
            axes.plot([place, place], [0, height], color=COLOURS[number], linewidth=3)

    tallest = max(float(max(np.asarray(line.get_ydata()))) for line in axes.lines)
    atoms = any(getattr(law, "has_atoms", False) for law in laws.values())
    label = "density; bars: P(z = 0), P(z = 1)" if atoms else "density"
    axes.set(xlabel="z", ylabel=label, ylim=(0, min(TALLEST, 1.4 * tallest)))
    axes.legend(loc="upper center")


def _slab(p: Any, scale: float = 1.0) -> Callable[[Tensor], Tensor]:
    return lambda loc: kl_divergence(Normal(loc, scale), p.expand(loc.shape))


def _group(loc: Tensor, zeros: int) -> Tensor:
    """The divergence of ten weights with unit deviation of which some have mean 0."""
    means = loc[:, None] * (torch.arange(10) >= zeros)
    prior = EmpiricalNormal(-1).expand(means.shape)
    return kl_divergence(Normal(means, 1.0), prior).sum(-1) / 10


def _signal_to_noise(loc: Tensor, scale: float) -> Tensor:
    return TruncatedLogNormal(loc, torch.tensor(scale)).snr


def _truncated(scale: float) -> Callable[[Tensor], Tensor]:
    prior = TruncatedLogUniform()
    return lambda loc: kl_divergence(TruncatedLogNormal(loc, torch.tensor(scale)), prior)


def _density(law: Any, log: bool = False) -> Callable[[Tensor], Tensor]:
    def curve(z: Tensor) -> Tensor:
        inside = law.support.check(z)
        value = law.log_prob(torch.where(inside, z, law.support.upper_bound))
        value = value if log else value.exp().clamp(max=TALLEST)
        return torch.where(inside, value, torch.nan)

    return curve


def _components(*laws: tuple[str, Any]) -> Components:
    return Components(dict(laws))


def _mixture(q: Tensor | float, off: Any) -> MixtureGate:
    return MixtureGate(probs=torch.as_tensor(q), off=off)


EXPONENTIAL, POWER = TruncatedExponential(9.0), PowerFunction(9.0)
MIXTURE = GroupGaussianMixture(torch.tensor([0.5]), torch.tensor([1.0]), torch.tensor([0.1]))

PICTURES: dict[str, Any] = {
    "hard_concrete": Gates(
        {f"logits {x:g}": HardConcrete(logits=x) for x in (-2.0, 0.0, 3.0)},
        {"": lambda x: HardConcrete(logits=x)},
        "logits",
    ),
    "hard_normal": Gates(
        {f"loc {x:g}": HardNormal(torch.tensor(x), 0.5) for x in (-0.3, 0.5, 1.2)},
        {"": lambda x: HardNormal(x, 0.5)},
        "loc, at scale 0.5",
        -1.5,
        2.0,
    ),
    "rectified": Gates(
        {
            "normal": Rectified(Normal(0.3, 0.5)),
            "Laplace": Rectified(Laplace(0.3, 0.4)),
            "Gumbel": Rectified(Gumbel(0.3, 0.4)),
        },
        {
            "normal": lambda x: Rectified(Normal(x, 0.5)),
            "Laplace": lambda x: Rectified(Laplace(x, 0.4)),
        },
        "location",
        -1.5,
        2.0,
    ),
    "mixture_gate": Gates(
        {
            "exponential": _mixture(0.3, EXPONENTIAL),
            "with uniform": _mixture(0.3, UniformExponential(9.0, 0.2)),
            "power function": _mixture(0.3, POWER),
        },
        {"exponential": lambda x: _mixture(x, EXPONENTIAL)},
        "q",
        0.0,
        1.0,
    ),
    "truncated_exponential": _components(
        *((f"rate {rate:g}", TruncatedExponential(rate)) for rate in (2.0, 6.0, 15.0))
    ),
    "uniform_exponential": _components(
        *((f"uniform {share:g}", UniformExponential(6.0, share)) for share in (0.05, 0.2, 0.5))
    ),
    "power_function": _components(
        *((f"beta {beta:g}", PowerFunction(beta)) for beta in (2.0, 6.0, 20.0))
    ),
    "mirrored": Components(
        {
            "exponential": TruncatedExponential(5.0),
            "exponential, mirrored": Mirrored(TruncatedExponential(5.0)),
            "power function": PowerFunction(3.0),
            "power function, mirrored": Mirrored(PowerFunction(3.0)),
        }
    ),
    "l0": Priors(
        {"penalty 1": L0(1.0).energy},
        "energy, nats",
        {"": lambda x: kl_divergence(HardConcrete(logits=x), L0(1.0))},
        "logits of a hard concrete gate",
        xlabel="z",
    ),
    "l2": Priors(
        {f"penalty {s:g}": L2(s).energy for s in (0.5, 1.0, 2.0)},
        "energy, nats",
        {f"deviation {s:g}": _slab(L2(1.0), s) for s in (0.1, 1.0, 2.0)},
        "mean of a normal posterior, at penalty 1",
        moved=(-3.0, 3.0),
    ),
    "log_uniform": Priors(
        {"": lambda w: -w.abs().clamp(min=1e-3).log()},
        "log density, up to a constant",
        {"fit": _slab(LogUniform()), "exact": _slab(LogUniform(kl="exact"))},
        "mean over deviation of a normal posterior",
        moved=(-6.0, 6.0),
    ),
    "empirical_normal": Priors(
        {"a variance for each weight": _slab(EmpiricalNormal())},
        "divergence, nats",
        {f"{n} of 10 means are 0": partial(_group, zeros=n) for n in (0, 5, 9)},
        "mean over deviation of the others",
        span=(-6.0, 6.0),
        moved=(-6.0, 6.0),
        xlabel="mean over deviation of a normal posterior",
        right_label="divergence, nats a weight",
    ),
    "group_gaussian_mixture": Priors(
        {"probs 0.5, scales 1 and 0.1": lambda w: MIXTURE.log_prob(w).exp()},
        "density",
        {f"deviation {s:g}": _slab(MIXTURE, s) for s in (0.1, 0.3, 1.0)},
        "mean of a normal posterior",
        moved=(-3.0, 3.0),
    ),
    "truncated_log_normal": Priors(
        {
            f"loc {m:g}, scale {s:g}": _density(
                TruncatedLogNormal(torch.tensor(m), torch.tensor(s))
            )
            for m, s in [(0.0, 0.2), (-1.0, 0.5), (-3.0, 2.0)]
        },
        "density, up to 6",
        {f"scale {scale:g}": partial(_signal_to_noise, scale=scale) for scale in (0.5, 1.0, 2.0)},
        "loc; units are dropped below 1",
        span=(0.001, 0.999),
        xlabel="z",
        right_label="signal-to-noise ratio",
    ),
    "truncated_log_uniform": Priors(
        {
            f"low {low:g}": _density(TruncatedLogUniform(low), log=True)
            for low in (-20.0, -5.0, -1.0)
        },
        "log density",
        {f"scale {s:g}": _truncated(s) for s in (0.1, 1.0, 3.0)},
        "loc of a truncated log-normal posterior",
        span=(0.001, 0.999),
        moved=(-20.0, 2.0),
        xlabel="z",
    ),
}


def draw_laws(folder: Path) -> None:
    """Draws the pictures of all laws.

    Args:
        folder: Where they go, as `NAME-left.svg` and `NAME-right.svg`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in PICTURES.items():
        with plt.rc_context(STYLE), torch.no_grad(), side_by_side(folder / name) as (left, right):
            picture.draw(left, right)


@contextmanager
def side_by_side(path: Path) -> Iterator[tuple[Axes, Axes]]:
    """Two pictures, which stand beside each other where there is room.

    Args:
        path: Where they go, without "-left.svg" and "-right.svg".
    """
    figures = {side: plt.subplots(figsize=(4, 3), layout="constrained") for side in SIDES}
    yield figures["left"][1], figures["right"][1]

    for side, (figure, _) in figures.items():
        figure.savefig(f"{path}-{side}.svg", metadata={"Date": None})
        plt.close(figure)
