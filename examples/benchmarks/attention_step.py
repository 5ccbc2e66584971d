"""What does a training step of a transformer cost, beside the same network without noise?

A classifier of sequences with two layers of attention: deterministic, with torch's attention;
the same with attention in layers of its own; with local noise on every weight; with gates alone,
on heads and hidden units. Taking turns in one process; the memory in a process each: parameters
and what a later step adds to them at its highest.

    python -m examples.benchmarks.attention_step [--batch 64] [--length 64] [--width 128]
        [--only NAME ...] [--compiled] [--out FOLDER]
"""

import argparse
import copy
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from examples.benchmarks.memory import in_fresh_processes, of_a_step
from examples.benchmarks.timing import interleaved, machine
from examples.support.table import as_table
from models.transformer import SequenceClassifier
from pyro_sparse.distributions import L0, LogUniform
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import TraceSparse_ELBO
from pyro_sparse.nn import Attention, Classifier, bayesianize, gate_sites

N, FEATURES, CLASSES, HEADS = 50_000, 32, 10, 8
CONTENDERS = ["deterministic", "layers of its own", "local noise", "gates"]


def contender(
    name: str, batch: int, length: int, width: int, compiled: bool, device: str
) -> tuple[Callable[[], None], nn.Module]:
    """A training step with the stochastic gradient, and what holds its parameters."""
    torch.manual_seed(0)
    net = SequenceClassifier(FEATURES, length, CLASSES, 2, width, HEADS, 4 * width).to(device)
    x = torch.randn(batch, length, FEATURES, device=device)
    y = torch.randint(CLASSES, (batch,), device=device)

    owner: nn.Module = in_layers(net) if name == "layers of its own" else net
    call = torch.compile(owner) if compiled else owner
    loss: Callable[[], Any] = lambda: F.cross_entropy(call(x), y)  # noqa: E731
    if name in ("local noise", "gates"):
        gated = {"gate": L0(0.1), "gate_dim": gate_sites(net, x[:1])}
        laws: Any = gated if name == "gates" else {"weight": LogUniform()}
        model = Classifier(bayesianize(net, **laws), N)
        owner = TraceSparse_ELBO(compile=compiled)(model, AutoSparse(model))
        loss = functools.partial(owner, x, y)

    optimizer = torch.optim.SGD(owner.parameters(), 1e-8)

    def step() -> None:
        loss().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step, owner


def in_layers(net: SequenceClassifier) -> nn.Module:
    """The same network with its attention in linear layers."""
    new = copy.deepcopy(net)
    blocks: Any = new.blocks
    for block in blocks:
        block.attention = Attention.from_torch(block.attention)
    return new


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=CONTENDERS)
    parser.add_argument("--compiled", action="store_true", help="each as one compiled graph")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, default=Path("runs/attention_step"))
    parser.add_argument("--smoke", action="store_true", help="tiny and short, to see that it runs")
    args = parser.parse_args()
    if args.smoke:
        args.batch, args.length, args.width, args.rounds, args.steps = 2, 4, 8, 1, 1

    base = CONTENDERS[0]
    names = [name for name in CONTENDERS if name in {base, *args.only}]
    setting = (args.batch, args.length, args.width, args.compiled, args.device)
    ms = interleaved({n: contender(n, *setting)[0] for n in names}, args.rounds, args.steps)
    memory = functools.partial(of_a_step, contender)
    found = [] if args.smoke else in_fresh_processes(memory, [(n, *setting) for n in names])
    mib = dict(zip(names, found, strict=False))

    rows = []
    for name in names:
        row = {"contender": name, "ms": ms[name], "time ratio": ms[name] / ms[base]}
        row |= {"MiB": mib[name], "memory ratio": mib[name] / mib[base]} if mib else {}
        rows.append(row)
    print(as_table(rows))

    settings = {"batch": args.batch, "length": args.length, "width": args.width}
    settings |= {"rounds": args.rounds, "steps": args.steps}
    settings |= {"compiled": True} if args.compiled else {}
    settings |= {"only": args.only} if args.only != CONTENDERS else {}
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / "attention_step.json"
    file.write_text(json.dumps({"settings": settings | machine(), "rows": rows}, indent=2))
    print(f"Wrote {file}")


if __name__ == "__main__":
    main()
