"""Pictures of one training: what is left of the posterior, and how it came about."""

__all__ = ["draw", "draw_macs"]

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch
from torch import Tensor
from torch.distributions import Normal

from examples.lenet.methods import Method
from examples.lenet.result import BINS
from pyro_sparse.distributions import Gate
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import Training
from pyro_sparse.inspect import plots
from pyro_sparse.local import peel

plt.switch_backend("Agg")


def draw(training: Training, method: Method, path: Path) -> None:
    """Gates or log alphas of the posterior beside error and weights left against epochs.

    Args:
        training: A training whose history has "error" and "nonzeros", in all and by layer.
        method: What was trained.
        path: Where the picture goes.
    """
    assert isinstance(training.guide, AutoSparse)
    rows = training.rows
    epochs = [row["epoch"] for row in rows]
    sites = [name for name in rows[0] if name.startswith("bins ")]
    columns = max(3, len(sites))
    figure = plt.figure(figsize=(5 * columns, 8 if sites else 4), layout="tight")
    left, middle, right = (figure.add_subplot(2 if sites else 1, columns, i) for i in (1, 2, 3))
    _draw_posterior(training.guide, left)
    for place, site in enumerate(sites, columns + 1):
        draws = [_as_draws(row[site]) for row in rows]
        axes = plots.gate_histories(draws, epochs, BINS, figure.add_subplot(2, columns, place))
        axes.set_title(f"Draws of {site.split()[1]}", loc="left", fontsize=11)

    middle.plot(epochs, [row["error"] for row in rows], color="black")
    middle.set(title="Error of the compact network", xlabel="epoch", ylabel="test error (%)")
    top = 3 * min(row["error"] for row in rows)
    middle.set_ylim(0, max(top, 1e-3))

    dashes = ["-", "--", ":", "-."]
    for name, dash in zip(_layers(rows[0]), dashes, strict=False):
        right.semilogy(epochs, [max(row[name], 1) for row in rows], dash, label=name.split()[1])
    right.set(title="Weights that are left", xlabel="epoch", ylabel="non-zero weights")
    right.legend()

    figure.suptitle(method.title)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def draw_macs(training: Training, method: Method, path: Path) -> None:
    """Multiply-adds against epochs: of the compact network, and expected under the posterior.

    Args:
        training: A training whose history has "macs" and, where there are gates, "expected macs".
        method: What was trained.
        path: Where the picture goes.
    """
    rows = training.rows
    epochs = [row["epoch"] for row in rows]
    figure, axes = plt.subplots(figsize=(5, 3.6), layout="tight")
    axes.semilogy(epochs, [row["macs"] for row in rows], color="black", label="compact network")
    if "expected macs" in rows[0]:
        expected = [row["expected macs"] for row in rows]
        axes.semilogy(epochs, expected, "--", color="#0072B2", label="expected")
    axes.set(title=method.title, xlabel="epoch", ylabel="multiply-adds of an image")
    axes.legend()
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def _as_draws(counts: str) -> Tensor:
    """Numbers that fall into the bins as often as was counted."""
    middles = (torch.arange(BINS) + 0.5) / BINS
    return middles.repeat_interleave(torch.tensor([int(n) for n in counts.split()]))


def _layers(row: dict[str, object]) -> list[str]:
    return [name for name in row if name.startswith("nonzeros ")]


def _draw_posterior(guide: AutoSparse, axes: plt.Axes) -> None:
    laws: dict[str, Any] = {site: peel(law) for site, law in guide.laws().items()}
    gates = {site: law.prob_active for site, law in laws.items() if isinstance(law, Gate)}
    scales = {site: law for site, law in laws.items() if site.endswith("gate")}
    normal = {site: law for site, law in (scales or laws).items() if isinstance(law, Normal)}
    if gates:
        plots.gate_probabilities(gates, ax=axes)
    elif normal:
        alphas = {
            site: 2 * (law.scale.log() - law.loc.abs().log()).clamp(-7, 7)
            for site, law in normal.items()
        }
        plots.log_alpha_histogram(alphas, 0.0 if scales else 3.0, ax=axes)
    else:
        for site, law in (scales or laws).items():
            values = law.mean.detach().abs().flatten().clamp(min=1e-6).log10()
            axes.hist(values.cpu(), 60, histtype="step", label=site)
        axes.set(title="Means", xlabel="log10 |mean|", ylabel="number")
        axes.legend()
