"""How much faster is a compact network than the dense one, beside the multiply-adds it saves?

Random gates are closed at a given share: in LeNet-5 on maps, features and hidden units; in
ResNet-18 behind the first norm of each block, and on one common set of channels of each stage.
Thin linear layers of single zeros are timed in dense and in sparse storage. The networks are
not trained: time does not depend on the values.

    python -m examples.benchmarks.compact_latency [--device cuda] [--out FOLDER]
"""

import argparse
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from examples.benchmarks.timing import interleaved, machine
from examples.support.table import as_table
from models.lenet import lenet5, mlp
from pyro_sparse.prune import compact, count
from pyro_sparse.prune.layout import SparseLinear


def close(module: nn.Module, closed: Tensor) -> None:
    """Makes these outputs of a layer or norm exactly 0."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter[closed] = 0.0


def some(width: int, share: float) -> Tensor:
    """A random subset of this share, never everything."""
    closed = torch.zeros(width, dtype=torch.bool)
    closed[torch.randperm(width)[: min(round(width * share), width - 1)]] = True
    return closed


def gated_lenet5(share: float) -> nn.Module:
    net = lenet5()
    for name in ("conv1", "conv2", "fc1"):
        layer = net.get_submodule(name)
        close(layer, some(len(layer.get_parameter("bias")), share))

    with torch.no_grad():
        net.get_parameter("fc1.weight")[:, some(800, share)] = 0.0
    return net


def gated_resnet18(share: float) -> nn.Module:
    from torchvision.models import resnet18

    net = resnet18()
    stages = {f"layer{i}": some(64 * 2 ** (i - 1), share) for i in range(1, 5)}
    stages["bn1"] = stages["layer1"]

    for name, module in net.named_modules():
        if not isinstance(module, nn.BatchNorm2d):
            continue
        inner = name.startswith("layer") and name.endswith("bn1")
        width = module.num_features
        close(module, some(width, share) if inner else stages[name.split(".")[0]])

    return net


NETWORKS: dict[str, tuple[Callable[[float], nn.Module], tuple[int, ...]]] = {
    "LeNet-5-Caffe": (gated_lenet5, (1, 28, 28)),
    "ResNet-18": (gated_resnet18, (3, 64, 64)),
}


def structured(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    for name in args.networks:
        build, shape = NETWORKS[name]
        for share in args.shares:
            net = build(share).eval()
            x = torch.randn(2, *shape)
            contenders = {"dense": net, "compact": compact(net, x)}
            contenders["by 8"] = compact(net, x, round_to=8)
            dense, small = count(net, x), count(contenders["compact"], x)

            for batch in args.batches:
                yield {
                    "network": name,
                    "closed": share,
                    "batch": batch,
                    **timed(contenders, torch.randn(batch, *shape), args),
                    "MACs": dense.macs / small.macs,
                    "parameters": dense.parameters / small.parameters,
                }


def unstructured(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    for share in args.zeros:
        net = mlp(784, 300, 100, 10).eval()
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.mul_(torch.rand_like(parameter) >= share)

        stored = mlp(784, 300, 100, 10).eval()
        for name in ("fc1", "fc2", "fc3"):
            layer = net.get_submodule(name)
            assert isinstance(layer, nn.Linear)
            stored.set_submodule(name, SparseLinear(layer))

        for batch in args.batches:
            times = timed({"dense": net, "sparse": stored}, torch.randn(batch, 784), args)
            yield {"network": "LeNet-300-100", "zeros": share, "batch": batch, **times}


@torch.no_grad()
def timed(networks: dict[str, nn.Module], x: Tensor, args: argparse.Namespace) -> dict[str, float]:
    """Median milliseconds of each network, and how often faster than the first each is."""
    x = x.to(args.device)
    calls = {name: partial(net.to(args.device), x) for name, net in networks.items()}
    steps = max(1, args.budget // len(x))
    times = interleaved(calls, args.rounds, steps)

    first, *others = times
    speed = {f"{name} speed-up": times[first] / times[name] for name in others}
    return {f"{name} ms": ms for name, ms in times.items()} | speed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--shares", nargs="+", type=float, default=[0.0, 0.5, 0.8, 0.9])
    parser.add_argument("--zeros", nargs="+", type=float, default=[0.9, 0.95, 0.98, 0.99])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 256])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--budget", type=int, default=256, help="examples a turn")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, default=Path("runs/compact_latency"))
    parser.add_argument("--smoke", action="store_true", help="tiny and short, to see that it runs")
    args = parser.parse_args()
    if args.smoke:
        args.networks, args.batches, args.rounds, args.budget = ["LeNet-5-Caffe"], [1], 1, 1
        args.shares, args.zeros = [0.5], [0.9]

    torch.manual_seed(0)
    tables = {"structured": list(structured(args)), "unstructured": list(unstructured(args))}
    for rows in tables.values():
        print(as_table(rows), end="\n\n")

    args.out.mkdir(parents=True, exist_ok=True)
    settings = {"rounds": args.rounds, "device": args.device, **machine()}
    file = args.out / "compact_latency.json"
    file.write_text(json.dumps({"settings": settings, **tables}, indent=2))
    print(f"Wrote {file}")


if __name__ == "__main__":
    main()
