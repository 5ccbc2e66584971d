"""What does a gradient through a gate's sample cost, beside a relaxed coin's?

Time of `rsample` plus backward, eager, as a ratio to torch's `RelaxedBernoulli` in the same run,
and the highest memory of a process that does nothing else. Logits are trained, one per element;
rates are one number or one per element, fixed or trained.

    python -m examples.benchmarks.gate_sampling [--elements 10000000] [--out FOLDER]
"""

import argparse
import functools
import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, RelaxedBernoulli

from examples.benchmarks.memory import highest, in_fresh_processes
from examples.benchmarks.timing import interleaved, machine
from examples.support.table import as_table
from pyro_sparse.distributions import (
    HardConcrete,
    HardNormal,
    MixtureGate,
    PowerFunction,
    TruncatedExponential,
    UniformExponential,
)

RELAXED = "RelaxedBernoulli"
FAMILIES = (TruncatedExponential, UniformExponential, PowerFunction)


@dataclass(frozen=True)
class Contender:
    """A law that is rebuilt from its parameters at every step, as in training."""

    build: Callable[..., Distribution]
    parameters: Sequence[Tensor]

    def step(self) -> None:
        self.build(*self.parameters).rsample().sum().backward()
        for parameter in self.parameters:
            parameter.grad = None


def contenders(elements: int, device: str) -> dict[str, Callable[[], Contender]]:
    unchecked: dict[str, Any] = {"validate_args": False}
    temperature = torch.tensor(2 / 3, device=device)

    def logits() -> Tensor:
        return torch.zeros(elements, device=device, requires_grad=True)

    def mixture(family: Any, shape: tuple[int, ...], trained: bool) -> Contender:
        def build(x: Tensor, rate: Tensor) -> Distribution:
            return MixtureGate(logits=x, off=family(rate, **unchecked), **unchecked)

        rate = torch.full(shape, 10.0, device=device, requires_grad=trained)
        return Contender(build, [logits(), rate])

    def relaxed(x: Tensor) -> Distribution:
        return RelaxedBernoulli(temperature, logits=x, **unchecked)

    found = {
        RELAXED: lambda: Contender(relaxed, [logits()]),
        "HardConcrete": lambda: Contender(
            lambda x: HardConcrete(logits=x, **unchecked), [logits()]
        ),
        "HardNormal": lambda: Contender(lambda x: HardNormal(x, **unchecked), [logits()]),
    }
    for family, each, trained in itertools.product(FAMILIES, (False, True), (False, True)):
        rates = ("a rate each" if each else "one rate") + (", trained" if trained else ", fixed")
        found[f"mixture of {family.__name__}, {rates}"] = functools.partial(
            mixture, family, (elements,) if each else (), trained
        )
    return found


def peak(name: str, elements: int, device: str) -> float:
    """Highest memory in MiB of one step, beyond what its parameters take."""
    contender = contenders(elements, device)[name]()

    before: float
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        contender.step()
        return (torch.cuda.max_memory_allocated() - before) / 2**20

    before = highest()
    contender.step()
    return highest() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--elements", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, default=Path("runs/gate_sampling"))
    parser.add_argument("--smoke", action="store_true", help="tiny and short, to see that it runs")
    args = parser.parse_args()
    if args.smoke:
        args.elements, args.rounds = 1000, 1

    running = contenders(args.elements, args.device)
    steps = {name: build().step for name, build in running.items()}
    times = interleaved(steps, args.rounds, steps=1, warm_up=1)
    names = list(times)[:2] if args.smoke else list(times)
    peaks = in_fresh_processes(peak, [(name, args.elements, args.device) for name in names])
    memory = dict(zip(names, peaks, strict=True))
    rows = [
        {"law": name, "ms": ms, "ratio": ms / times[RELAXED], "peak MiB": memory.get(name)}
        for name, ms in times.items()
    ]
    print(as_table(rows))

    args.out.mkdir(parents=True, exist_ok=True)
    settings = {"elements": args.elements, "rounds": args.rounds, **machine()}
    file = args.out / "gate_sampling.json"
    file.write_text(json.dumps({"settings": settings, "rows": rows}, indent=2))
    print(f"Wrote {file}")


if __name__ == "__main__":
    main()
