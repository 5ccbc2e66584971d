"""What does a training step of a real architecture cost, beside the same network without noise?

A network of torchvision: deterministic; with local noise on every weight; the same with its
variances in bfloat16; with gates alone, where `gate_sites` puts them. Each eager and as one
compiled graph, taking turns in one process, for images of several sizes.

    python -m examples.benchmarks.architecture_step [--network resnet18] [--batch 32]
        [--pixels 160 ...] [--only NAME ...] [--out FOLDER]
"""

import argparse
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from examples.benchmarks.timing import interleaved, machine
from examples.support.table import as_table
from pyro_sparse.distributions import L0, LogUniform
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import TraceSparse_ELBO
from pyro_sparse.nn import Classifier, bayesianize, gate_sites

N, CLASSES = 50_000, 1000
COMPILED = ", compiled"
KINDS = ["deterministic", "local noise", "bfloat16 variances", "gates"]
CONTENDERS = KINDS + [kind + COMPILED for kind in KINDS]

Loss = Callable[[], Tensor]


def plain(net: nn.Module, x: Tensor, y: Tensor, compiled: bool) -> tuple[Loss, nn.Module]:
    call = torch.compile(net) if compiled else net
    return lambda: F.cross_entropy(call(x), y), net


def sparse(
    net: nn.Module, x: Tensor, y: Tensor, elbo: TraceSparse_ELBO, **laws: Any
) -> tuple[Loss, nn.Module]:
    model = Classifier(bayesianize(net, **laws), N)
    bound = elbo(model, AutoSparse(model))
    return functools.partial(bound, x, y), bound


def contender(
    name: str, network: str, batch: int, pixels: int, device: str
) -> tuple[Callable[[], None], nn.Module]:
    """A training step with the stochastic gradient, and what holds its parameters."""
    import torchvision

    torch.manual_seed(0)
    net = torchvision.models.get_model(network).to(device)
    x = torch.randn(batch, 3, pixels, pixels, device=device)
    y = torch.randint(CLASSES, (batch,), device=device)

    kind, compiled = name.removesuffix(COMPILED), name.endswith(COMPILED)
    variances = torch.bfloat16 if kind == "bfloat16 variances" else None
    elbo = TraceSparse_ELBO(compile=compiled, variance_dtype=variances)
    if kind == "deterministic":
        loss, owner = plain(net, x, y, compiled)
    elif kind == "gates":
        sites = gate_sites(net, x[:1])
        loss, owner = sparse(net, x, y, elbo, gate=L0(0.1), gate_dim=sites)
    else:
        loss, owner = sparse(net, x, y, elbo, weight=LogUniform())

    optimizer = torch.optim.SGD(owner.parameters(), 1e-8)

    def step() -> None:
        loss().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step, owner


def base_of(name: str) -> str:
    """The deterministic network that is run the same way."""
    return KINDS[0] + (COMPILED if name.endswith(COMPILED) else "")


def with_bases(names: list[str]) -> list[str]:
    """These contenders and those they are compared with, in order."""
    wanted = {base_of(name) for name in names}.union(names)
    return [name for name in CONTENDERS if name in wanted]


def measure(pixels: int, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Times, and their ratios to the deterministic network run the same way."""
    torch._dynamo.reset()
    names = with_bases(args.only)
    steps = {n: contender(n, args.network, args.batch, pixels, args.device)[0] for n in names}
    ms = interleaved(steps, args.rounds, args.steps, warm_up=2)
    return [
        {
            "pixels": pixels,
            "contender": name,
            "ms": ms[name],
            "ratio": ms[name] / ms[base_of(name)],
        }
        for name in names
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="resnet18", help="a classifier of torchvision")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--pixels", type=int, nargs="+", default=[160])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=CONTENDERS)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, default=Path("runs/architecture_step"))
    parser.add_argument("--smoke", action="store_true", help="tiny and short, to see that it runs")
    args = parser.parse_args()
    if args.smoke:
        args.batch, args.pixels, args.rounds, args.steps = 2, [32], 1, 1
        args.only = KINDS

    rows = []
    for pixels in args.pixels:
        found = measure(pixels, args)
        print(as_table(found), flush=True)
        rows += found

    settings = {"network": args.network, "batch": args.batch, "pixels": args.pixels}
    settings |= {"rounds": args.rounds, "steps": args.steps, **machine()}
    settings |= {"only": args.only} if args.only != CONTENDERS else {}
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "architecture_step.json").write_text(
        json.dumps({"settings": settings, "rows": rows}, indent=2)
    )
    print(f"Wrote {args.out / 'architecture_step.json'}")


if __name__ == "__main__":
    main()
