"""What does a training step cost, beside the same step written by hand?

Sparse variational dropout with local noise on a three-layer perceptron: by hand in torch, eager
and compiled; in Pyro with `TraceMeanField_ELBO` and sampled weights; and here, eager, compiled,
and with the optimiser in the compiled step too.

    python -m examples.benchmarks.step_time [--batch 128 ...] [--width 300 ...] [--out FILE]
"""

import argparse
import functools
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyro
import torch
import torch.nn.functional as F
from pyro.distributions import Categorical, Normal
from pyro.infer import TraceMeanField_ELBO
from pyro.optim import PyroOptim
from torch import Tensor, nn

from examples.benchmarks.timing import interleaved, machine
from examples.table import as_table
from pyro_sparse.distributions import LogUniform
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import TraceSparse_ELBO
from pyro_sparse.nn import Classifier, bayesianize

N = 60_000


class ByHand(nn.Module):
    """Variational dropout as one would write it without a library."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        layers = [nn.Linear(a, b) for a, b in pairwise(widths)]
        self.loc = nn.ParameterList([layer.weight for layer in layers])
        self.log_variance = nn.ParameterList([torch.full_like(w, -9.0) for w in self.loc])
        self.bias = nn.ParameterList([layer.bias for layer in layers])

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        kl = torch.zeros(())
        for i, (m, s, b) in enumerate(zip(self.loc, self.log_variance, self.bias, strict=True)):
            x = x.relu() if i else x
            mean, variance = F.linear(x, m, b), F.linear(x * x, s.exp())
            x = mean + variance.clamp_min(1e-38).sqrt() * torch.randn_like(mean)
            log_alpha = s - 2 * (m.abs() + 1e-16).log()
            kl = kl + self.divergence(log_alpha).sum()
        return N * F.cross_entropy(x, y) + kl

    @staticmethod
    def divergence(log_alpha: Tensor) -> Tensor:
        fit = 0.63576 * torch.sigmoid(1.8732 + 1.48695 * log_alpha)
        return 0.63576 - fit + 0.5 * F.softplus(-log_alpha)


def sampled(net: nn.Sequential) -> tuple[Callable, Callable]:
    """The same posterior in plain Pyro, with a proper prior and sampled weights."""
    layers = [layer for layer in net if isinstance(layer, nn.Linear)]

    def model(x: Tensor, y: Tensor) -> None:
        for i, layer in enumerate(layers):
            w = pyro.sample(f"w{i}", Normal(0.0, 1.0).expand(layer.weight.shape).to_event(2))
            x = F.linear(x.relu() if i else x, w, layer.bias)
        with pyro.plate("data", N, subsample=x):
            pyro.sample("y", Categorical(logits=x), obs=y)

    def guide(x: Tensor, y: Tensor) -> None:
        for i, layer in enumerate(layers):
            loc = pyro.param(f"loc{i}", layer.weight.detach())
            log_variance = pyro.param(f"log_variance{i}", torch.full_like(loc, -9.0))
            pyro.sample(f"w{i}", Normal(loc, (log_variance / 2).exp()).to_event(2))

    return model, guide


def step_of(loss: Callable[[], Tensor], parameters: Any) -> Callable[[], None]:
    optimizer = torch.optim.Adam(parameters, 1e-4, fused=True)

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step


def contenders(batch: int, width: int, device: str) -> dict[str, Callable[[], Any]]:
    pyro.clear_param_store()
    torch.manual_seed(0)
    widths = (784, width, max(width // 3, 10), 10)
    x, y = torch.rand(batch, 784, device=device), torch.randint(10, (batch,), device=device)
    net = nn.Sequential(nn.Linear(*widths[:2]), nn.ReLU(), nn.Linear(*widths[1:3]), nn.ReLU())
    net = net.append(nn.Linear(*widths[2:])).to(device)

    found: dict[str, Callable[[], Any]] = {}
    for name, wrap in (("hand, eager", lambda f: f), ("hand, compiled", torch.compile)):
        hand = ByHand(*widths).to(device)
        loss = functools.partial(wrap(hand), x, y)
        found[name] = step_of(loss, hand.parameters())

    svi = pyro.infer.SVI(
        *sampled(net), PyroOptim(torch.optim.Adam, {"lr": 1e-4}), TraceMeanField_ELBO()
    )
    found["Pyro mean field"] = lambda: svi.step(x, y)

    for name, options in (
        ("ours, eager", {}),
        ("ours, compiled", {"compile": True}),
        ("ours, loss compiled", {"compile": True, "gradients": "loss"}),
    ):
        model = Classifier(bayesianize(net, weight=LogUniform()), N)
        bound = TraceSparse_ELBO(**options)(model, AutoSparse(model))
        found[name] = step_of(functools.partial(bound, x, y), bound.parameters())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--width", type=int, nargs="+", default=[300])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--only", nargs="+", help="some of the contenders, by name")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, default=Path("runs/step_time"))
    parser.add_argument("--smoke", action="store_true", help="tiny and short, to see that it runs")
    args = parser.parse_args()
    if args.smoke:
        args.batch, args.width, args.rounds, args.steps = [8], [30], 1, 1
        args.only = ["hand, eager", "Pyro mean field", "ours, eager"]

    rows = []
    for batch in args.batch:
        for width in args.width:
            torch._dynamo.reset()
            chosen = contenders(batch, width, args.device)
            chosen = {name: step for name, step in chosen.items() if name in (args.only or chosen)}
            times = interleaved(chosen, args.rounds, args.steps)
            base = times.get("hand, compiled", times[next(iter(times))])
            ratios = {f"{name} (ratio)": ms / base for name, ms in times.items()}
            rows.append({"batch": batch, "width": width, **times, **ratios})
            print(
                as_table([{"contender": n, "ms": t, "ratio": t / base} for n, t in times.items()])
            )

    args.out.mkdir(parents=True, exist_ok=True)
    settings = {"rounds": args.rounds, "steps": args.steps, **machine()}
    (args.out / "step_time.json").write_text(
        json.dumps({"settings": settings, "rows": rows}, indent=2)
    )
    print(f"Wrote {args.out / 'step_time.json'}")


if __name__ == "__main__":
    main()
