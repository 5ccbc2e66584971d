"""A picture of each method: its divergence, and its networks among those of all methods."""

__all__ = ["draw_methods"]

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from pyro.distributions import Bernoulli, Delta, HalfCauchy, LogNormal, Normal
from torch import Tensor
from torch.distributions import Distribution, kl_divergence

from docs.generate.methods import PAGES
from docs.generate.pictures import COLOURS, STYLE, side_by_side
from docs.generate.results import merged
from examples.lenet.laws import GroupLasso
from examples.lenet.methods import METHODS
from pyro_sparse.distributions import (
    L0,
    EmpiricalNormal,
    GroupGaussianMixture,
    HardConcrete,
    HardNormal,
    LogUniform,
    MixtureGate,
    PowerFunction,
    TruncatedLogNormal,
    TruncatedLogUniform,
)

ONE = torch.tensor(1.0)
MIXTURE = GroupGaussianMixture(torch.tensor([0.5]), torch.tensor([0.1]), torch.tensor([0.01]))

Posterior = Callable[[Tensor], Any]

# what moves, from where to where, the posterior and the prior
CURVES: dict[str, tuple[str, float, float, Posterior, Distribution]] = {
    "budget": ("logits", -5, 5, lambda x: HardConcrete(logits=x), L0(1.0)),
    "l0": ("logits", -5, 5, lambda x: HardConcrete(logits=x), L0(1.0)),
    "spike_and_slab": ("logits", -5, 5, lambda x: HardConcrete(logits=x), Bernoulli(ONE / 20)),
    "stochastic_gates": ("loc, at scale 0.5", -2, 2, lambda x: HardNormal(x, 0.5), L0(1.0)),
    "mixture_gates": (
        "logits",
        -5,
        5,
        lambda x: MixtureGate(logits=x, off=PowerFunction(20.0)),
        L0(1.0),
    ),
    "variational_dropout": ("mean over deviation", -6, 6, lambda x: Normal(x, 1.0), LogUniform()),
    "empirical_bayes_dropout": (
        "mean over deviation",
        -6,
        6,
        lambda x: Normal(x, 1.0),
        EmpiricalNormal(),
    ),
    "gaussian_mixture_em": (
        "mean, at deviation 0.01",
        -0.3,
        0.3,
        lambda x: Normal(x, 0.01),
        MIXTURE,
    ),
    "information_bottleneck": (
        "log variance, at mean 1",
        -9,
        4,
        lambda x: Normal(torch.ones_like(x), (x / 2).exp()),
        EmpiricalNormal(),
    ),
    "structured_bayesian_pruning": (
        "loc, at scale 1",
        -20,
        2,
        lambda x: TruncatedLogNormal(x, ONE),
        TruncatedLogUniform(),
    ),
    "group_normal_jeffreys": (
        "log variance, at mean 1",
        -9,
        4,
        lambda x: Normal(torch.ones_like(x), (x / 2).exp()),
        LogUniform(),
    ),
    "group_horseshoe": (
        "loc of a log-normal, at scale 0.3",
        -15,
        3,
        lambda x: LogNormal(x, torch.full_like(x, 0.3)),
        HalfCauchy(torch.tensor(1e-5)),
    ),
    "group_lasso": (
        "the only weight of a unit",
        -2,
        2,
        lambda x: Delta(x[None, :]),
        GroupLasso(1.0),
    ),
}


def draw_methods(folder: Path) -> None:
    """Draws the pictures of all methods.

    Args:
        folder: Where they go, as `NAME-left.svg` and `NAME-right.svg`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        with plt.rc_context(STYLE), torch.no_grad(), side_by_side(folder / name) as (left, right):
            _draw_divergence(left, name)
            _draw_results(right, page.results)


def _draw_divergence(axes: Axes, name: str) -> None:
    along, low, high, posterior, prior = CURVES[name]
    x = torch.linspace(low, high, 401).round(decimals=6)
    q = posterior(x)

    y = kl_divergence(q, prior.expand(q.batch_shape)).reshape(-1)
    axes.plot(x, y, color=COLOURS[0])
    axes.set(xlabel=along, ylabel="divergence, nats")


def _draw_results(axes: Axes, own: tuple[str, ...]) -> None:
    rows = {name: row for (net, name), row in merged().items() if net == "lenet_300_100"}
    for name, row in rows.items():
        if name not in own:
            axes.plot(row["nonzeros"], row["error"], "o", color="0.75", markersize=4)

    shown = [name for name in own if name in rows]
    for number, name in enumerate(shown):
        row, colour = rows[name], COLOURS[number]
        label = METHODS[name].title
        axes.plot(row["nonzeros"], row["error"], "D", color=colour, markersize=7, label=label)

    axes.set(xscale="log", xlabel="weights left", ylabel="test error on MNIST, %")
    if shown:
        axes.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0, 1))
