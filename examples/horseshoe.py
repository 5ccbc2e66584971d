"""Half-Cauchy scales of groups of weights: in one line, and by hand with bounded scales.

Bayesian compression puts one scale on all weights of an input (Louizos, Ullrich, Welling, 2017,
https://arxiv.org/abs/1705.08665). In one line the scale is a gate under a half-Cauchy prior. By
hand it is the root of a gamma times an inverse gamma factor, each with a log-normal posterior,
and may be bounded: z / sqrt(1 + z^2 / width^2), the regularised horseshoe (Piironen, Vehtari,
2017, https://arxiv.org/abs/1707.01694). The problem is linear, and 4 of 12 inputs matter.

    python -m examples.horseshoe [--steps N] [--seed N] [--out DIR]
"""

import argparse
import json
import math
from pathlib import Path
from typing import Any

import pyro
import torch
import torch.nn.functional as F
from pyro.distributions import Categorical, Gamma, HalfCauchy, InverseGamma, Normal
from torch import Tensor, nn

from examples.support.table import as_table
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import TraceSparse_ELBO
from pyro_sparse.nn import Classifier, bayesianize

INPUTS, NEEDED = 12, 4


class Horseshoe(nn.Module):
    """A linear classifier with a half-Cauchy scale for each input, as an ordinary Pyro model.

    Args:
        inputs: Number of inputs.
        classes: Number of classes.
        num_data: Number of examples.
        tau: Scale of the half-Cauchy law: how small the scale of an input of no use becomes.
        width: Bound of the scales; infinite for the plain horseshoe.
    """

    def __init__(
        self, inputs: int, classes: int, num_data: int, tau: float, width: float = math.inf
    ) -> None:
        super().__init__()
        self.shape, self.num_data = (classes, inputs), num_data
        self.tau, self.width = tau, width

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        half = x.new_full(self.shape[1:], 0.5)
        a = pyro.sample("a", Gamma(half, 1 / self.tau**2).to_event(1))
        b = pyro.sample("b", InverseGamma(half, 1.0).to_event(1))
        scale = self.bounded((a * b).sqrt())

        w = pyro.sample("w", Normal(x.new_zeros(self.shape), 1.0).to_event(2))
        logits = F.linear(x * scale, w)
        with pyro.plate("data", self.num_data, subsample=x):
            pyro.sample("y", Categorical(logits=logits), obs=y)
        return logits

    def bounded(self, scale: Tensor) -> Tensor:
        """A scale that stays below the width."""
        return scale / (1 + (scale / self.width).square()).sqrt()


def problem(num_data: int) -> tuple[Tensor, Tensor]:
    """Labels that depend on the first inputs."""
    x = torch.randn(num_data, INPUTS)
    return x, (x[:, :NEEDED].sum(1) > 0).long()


def train(model: nn.Module, guide: AutoSparse, x: Tensor, y: Tensor, steps: int) -> None:
    bound = TraceSparse_ELBO()(model, guide)
    optimizer = torch.optim.Adam(bound.parameters(), lr=0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        bound(x, y).backward()
        optimizer.step()


@torch.no_grad()
def log_scales(guide: AutoSparse, model: nn.Module) -> Tensor:
    """Logarithm of the median scale of each input."""
    laws: dict[str, Any] = guide.laws()
    if isinstance(model, Horseshoe):
        return model.bounded((laws["a"].loc + laws["b"].loc).div(2).exp()).log()

    return laws["gate"].law.loc


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/horseshoe"))
    parser.add_argument("--smoke", action="store_true", help="ten steps, to see that it runs")
    args = parser.parse_args()

    torch.set_num_threads(1)  # the matrices are too small to be shared between threads
    pyro.set_rng_seed(args.seed)
    size, tau = 600, 0.01
    x, y = problem(size)
    linear = bayesianize(nn.Linear(INPUTS, 2), weight=Normal(0.0, 1.0), gate=HalfCauchy(tau))
    models: dict[str, nn.Module] = {
        "in one line": Classifier(linear, size),
        "by hand": Horseshoe(INPUTS, 2, size, tau),
        "by hand, width 3": Horseshoe(INPUTS, 2, size, tau, width=3.0),
    }
    rows = []
    for name, model in models.items():
        guide = AutoSparse(model, example=(x, y))
        train(model, guide, x, y, 10 if args.smoke else args.steps)
        scales = log_scales(guide, model)
        needed, useless = scales[:NEEDED], scales[NEEDED:]
        row = {"horseshoe": name, "needed, least": needed.min().item()}
        row |= {"needed, largest": needed.max().item(), "useless, largest": useless.max().item()}
        rows.append(row)

    print("Logarithms of the inputs' median scales")
    print(as_table(rows))
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / "horseshoe.json"
    file.write_text(json.dumps({"seed": args.seed, "rows": rows}, indent=2))
    print(f"Wrote {file}")


if __name__ == "__main__":
    main()
