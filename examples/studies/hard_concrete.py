"""What does stretching and clipping do to a concrete gate?

Left: the binary concrete law at log alpha = 0 and temperature 1/2, and the hard concrete law made
of it. Right: the mean of both against log alpha, and the gate without noise. After figure 2 of
Louizos, Welling, Kingma (2018), https://arxiv.org/abs/1712.01312

    python -m examples.studies.hard_concrete [--seed N] [--out DIR]
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import pyro
import torch
from matplotlib.axes import Axes

from pyro_sparse.distributions import HardConcrete
from pyro_sparse.distributions.hard_concrete import StretchedConcrete

plt.switch_backend("Agg")

TEMPERATURE = torch.tensor(0.5, dtype=torch.float64)


def draw_density(axes: Axes) -> None:
    centre = torch.tensor(0.0, dtype=torch.float64)
    concrete = StretchedConcrete(TEMPERATURE, centre)
    gate = HardConcrete(TEMPERATURE, logits=centre)
    z = torch.linspace(1e-3, 1 - 1e-3, 500, dtype=torch.float64)

    axes.plot(z, concrete.log_prob(z).exp(), label="concrete")
    (line,) = axes.plot(z, gate.log_prob(z).exp(), label="hard concrete")
    for value in (0.0, 1.0):
        mass = gate.log_prob(torch.tensor(value).double()).exp().item()
        axes.plot([value, value], [0, mass], marker="^", color=line.get_color())
        axes.annotate(f" P = {mass:.2f}", (value, mass), ha="right" if value else "left")

    axes.set(xlabel="gate", ylabel="density; at the arrows probability", ylim=(0, 3))
    axes.legend(loc="upper center")


def draw_mean(axes: Axes, samples: int) -> None:
    log_alpha = torch.linspace(-8, 8, 161, dtype=torch.float64)
    concrete = StretchedConcrete(TEMPERATURE, log_alpha)
    gate = HardConcrete(TEMPERATURE, logits=log_alpha)

    axes.plot(log_alpha, concrete.sample((samples,)).mean(0), label="concrete, mean of draws")
    axes.plot(log_alpha, gate.mean, label="hard concrete, mean")
    axes.plot(log_alpha, gate.sample((samples,)).mean(0), ":", label="the same, of draws")
    axes.plot(log_alpha, gate.deterministic, "--", label="hard concrete, no noise")
    axes.set(xlabel="log alpha", ylabel="gate")
    axes.legend()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/studies"))
    parser.add_argument("--smoke", action="store_true", help="few samples, to see that it runs")
    args = parser.parse_args()
    pyro.set_rng_seed(args.seed)

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    draw_density(left)
    draw_mean(right, 100 if args.smoke else 10_000)

    args.out.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.out / "hard_concrete.png", dpi=100)
    print(f"Wrote {args.out / 'hard_concrete.png'}")


if __name__ == "__main__":
    main()
