"""What does a training step of a real architecture cost, beside the same network without noise?

A network of torchvision: deterministic; with local noise on every weight; with gates alone,
where `gate_sites` puts them. Each eager and as one compiled graph, in time (taking turns in one
process) and in memory (a process each), for images of several sizes.

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

from examples.benchmarks.memory import added, in_fresh_processes
from examples.benchmarks.timing import interleaved, machine
from examples.support.table import as_table
from pyro_sparse.distributions import L0, LogUniform
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import TraceSparse_ELBO
from pyro_sparse.nn import Classifier, bayesianize, gate_sites

N, CLASSES = 50_000, 1000
COMPILED = ", compiled"
KINDS = ["deterministic", "local noise", "gates"]
CONTENDERS = KINDS + [kind + COMPILED for kind in KINDS]

Loss = Callable[[], Tensor]


def plain(net: nn.Module, x: Tensor, y: Tensor, compiled: bool) -> tuple[Loss, nn.Module]:
    call = torch.compile(net) if compiled else net
    return lambda: F.cross_entropy(call(x), y), net


def sparse(
    net: nn.Module, x: Tensor, y: Tensor, compiled: bool, **laws: Any
) -> tuple[Loss, nn.Module]:
    model = Classifier(bayesianize(net, **laws), N)
    bound = TraceSparse_ELBO(compile=compiled)(model, AutoSparse(model))
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
    if kind == "deterministic":
        loss, owner = plain(net, x, y, compiled)
    elif kind == "local noise":
        loss, owner = sparse(net, x, y, compiled, weight=LogUniform())
    else:
        sites = gate_sites(net, x[:1])
        loss, owner = sparse(net, x, y, compiled, gate=L0(0.1), gate_dim=sites)

    optimizer = torch.optim.SGD(owner.parameters(), 1e-8)

    def step() -> None:
        loss().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step, owner


def memory(*args: Any) -> float:
    """MiB of the parameters and of what a step adds to them."""
    step, owner = contender(*args)
    for _ in range(2):
        step()

    held = sum(t.numel() * t.element_size() for t in owner.state_dict().values())
    return held / 2**20 + added(step)


def base_of(name: str) -> str:
    """The deterministic network that is run the same way."""
    return KINDS[0] + (COMPILED if name.endswith(COMPILED) else "")


def measure(names: list[str], pixels: int, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Times and memories, and their ratios to the deterministic network run the same way."""
    torch._dynamo.reset()
    setting = (args.network, args.batch, pixels, args.device)
    steps = {name: contender(name, *setting)[0] for name in names}
    ms = interleaved(steps, args.rounds, args.steps, warm_up=2)
    measured = [] if args.no_memory else in_fresh_processes(memory, [(n, *setting) for n in names])
    mib = dict(zip(names, measured, strict=False))

    rows = []
    for name in names:
        row = {"pixels": pixels, "contender": name, "ms": ms[name]}
        row["time ratio"] = ms[name] / ms[base_of(name)]
        if name in mib:
            row |= {"MiB": mib[name], "memory ratio": mib[name] / mib[base_of(name)]}
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="resnet18", help="a classifier of torchvision")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--pixels", type=int, nargs="+", default=[160])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=CONTENDERS)
    parser.add_argument("--no-memory", action="store_true", help="measure time only")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, default=Path("runs/architecture_step"))
    parser.add_argument("--smoke", action="store_true", help="tiny and short, to see that it runs")
    args = parser.parse_args()
    if args.smoke:
        args.batch, args.pixels, args.rounds, args.steps = 2, [32], 1, 1
        args.only, args.no_memory = KINDS, True

    wanted = {base_of(name) for name in args.only}.union(args.only)
    names = [name for name in CONTENDERS if name in wanted]
    rows = []
    for pixels in args.pixels:
        found = measure(names, pixels, args)
        print(as_table(found), flush=True)
        rows += found

    settings = {"network": args.network, "batch": args.batch, "pixels": args.pixels}
    settings |= {"rounds": args.rounds, "steps": args.steps, **machine()}
    settings |= {"no-memory": True} if args.no_memory else {}
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "architecture_step.json").write_text(
        json.dumps({"settings": settings, "rows": rows}, indent=2)
    )
    print(f"Wrote {args.out / 'architecture_step.json'}")


if __name__ == "__main__":
    main()
