"""How many heads and hidden units does a small transformer need?

Trains two transformers, dense and with a gate on every head and every hidden unit: one reads
scikit-learn's digits as sequences of eight rows of pixels, the other predicts the next character
of Python's own help texts, causally. Removes what the posterior closes, checks that the smaller
networks give the same outputs, and writes down what they cost and get wrong. Tasks that are not
run keep what the file of results says.

    python -m examples.transformer [--task digits characters] [--seeds 0 1 2] [--out DIR]
"""

import argparse
import functools
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import pyro
import torch
import torch.nn.functional as F
from pyro.distributions import Categorical
from torch import Tensor, nn

from examples.benchmarks.timing import machine
from examples.support.data import Data, digits
from examples.support.heads import draw_heads
from examples.support.table import as_table
from examples.support.text import ALPHABET, characters
from models.transformer import CharacterModel, SequenceClassifier
from pyro_sparse.distributions import L0
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import fit
from pyro_sparse.inspect import report
from pyro_sparse.nn import bayesianize, gate_sites
from pyro_sparse.prune import compact, count, freeze

WORDS = {"network", "seed"}  # of a row, which are no measurements
LEGEND = """
Error and bits a character on data that was held out, those of the sparse networks after removal.
Difference: the largest between the outputs of the network with zeros and of the compact one,
relative to the largest output.
"""


@dataclass(frozen=True)
class Task:
    """A network, its data, and how it is trained."""

    build: Callable[[], nn.Module]
    data: Callable[[int], Data]
    unit: str
    epochs: int
    batch: int
    lr: float
    gate_lr: float
    penalty: float


def rows(seed: int) -> Data:
    """Digits as sequences of eight rows of eight pixels."""
    data = digits(seed, torch.device("cpu"))
    return Data(data.x.unflatten(1, (8, 8)), data.y, data.x_test.unflatten(1, (8, 8)), data.y_test)


TASKS = {
    "digits": Task(
        functools.partial(SequenceClassifier, 8, 8, 10, dropout=0.1),
        rows,
        "error %", epochs=45, batch=64, lr=3e-3, gate_lr=3e-2, penalty=0.08,
    ),
    "characters": Task(
        functools.partial(CharacterModel, len(ALPHABET), 64),
        functools.partial(characters, length=64),
        "bits", epochs=2, batch=32, lr=3e-3, gate_lr=3e-2, penalty=1.0,
    ),
}  # fmt: skip


class Labelled(nn.Module):
    """A model of a label for each example, or of one for each of its positions."""

    def __init__(self, net: nn.Module, num_data: int) -> None:
        super().__init__()
        self.net = net
        self.num_data = num_data

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        law = Categorical(logits=self.net(x))
        with pyro.plate("data", self.num_data, subsample=x):
            pyro.sample("obs", law.to_event(law.logits.ndim - 2), obs=y)
        return law.logits


def train(task: Task, data: Data, seed: int, gated: bool, epochs: int) -> tuple[Any, Any]:
    """The model and its guide; without gates an empty one."""
    pyro.set_rng_seed(seed)
    net = task.build()
    model, guide = Labelled(net, len(data.x)), lambda x, y=None: None
    if gated:
        sites = gate_sites(net, data.x[:2])
        net = bayesianize(net, gate=L0(task.penalty), gate_dim=sites)
        model = Labelled(net, len(data.x))
        guide = AutoSparse(model, init_gate_prob=0.7)

    settings: Any = {"epochs": epochs, "batch_size": task.batch, "lr": task.lr}
    fit(model, guide, (data.x, data.y), gate_lr=task.gate_lr, warm_up=(0.0, 0.3), **settings)
    return model.eval(), guide


@torch.no_grad()
def loss(net: nn.Module, task: Task, data: Data) -> float:
    logits = torch.cat([net(x) for x in data.x_test.split(256)])
    if task.unit == "bits":
        return F.cross_entropy(logits.mT, data.y_test).item() / math.log(2)
    return 100 * (logits.argmax(-1) != data.y_test).float().mean().item()


def assess(title: str, net: nn.Module, small: nn.Module, task: Task, data: Data) -> dict[str, Any]:
    size, modules = count(small, data.x[:1]), dict(small.named_modules())
    with torch.no_grad():
        whole, less = net(data.x_test[:256]), small(data.x_test[:256])
    return {
        "network": title,
        task.unit: loss(small, task, data),
        "heads": sum(getattr(module, "num_heads", 0) for module in modules.values()),
        "hidden units": sum(m.out_features for n, m in modules.items() if n.endswith("up")),
        "weights": size.weights,
        "MACs": size.macs,
        "difference": ((whole - less).abs().max() / whole.abs().max()).item(),
    }


def study(name: str, seed: int, smoke: bool) -> tuple[list[dict[str, Any]], AutoSparse]:
    """Both networks of one task, as rows of a table."""
    task = TASKS[name]
    data, epochs = task.data(seed), task.epochs
    if smoke:
        data, epochs = Data(data.x[:256], data.y[:256], data.x_test[:64], data.y_test[:64]), 1

    dense, _ = train(task, data, seed, False, epochs)
    model, guide = train(task, data, seed, True, epochs)
    frozen = freeze(model, guide).eval()
    small = compact(frozen, data.x[:2], allow_empty=smoke)
    table = [
        assess("dense", dense.net, dense.net, task, data),
        assess("heads and units removed", frozen, small, task, data),
    ]
    print(
        f"\n{name}, seed {seed}\n{as_table(table)}\n\n{report(model, guide, data.x[:2])}",
        flush=True,
    )
    return [{**row, "seed": seed} for row in table], guide


def medians(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Over seeds, for each network."""
    rows = {}
    for title in dict.fromkeys(row["network"] for row in found):
        own = [row for row in found if row["network"] == title]
        rows[title] = {k: median(row[k] for row in own) for k in own[0] if k not in WORDS}
    return [{"network": title, **row} for title, row in rows.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--out", type=Path, default=Path("runs/transformer"))
    parser.add_argument("--smoke", action="store_true", help="one epoch, to see that it runs")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    torch.set_num_threads(1)  # the matrices are too small to be shared between threads
    file, guides = args.out / "transformer.json", {}
    results = json.loads(file.read_text()) if file.exists() else {}
    for name in args.task:
        found: list[dict[str, Any]] = []
        for seed in args.seeds:
            table, guides[name] = study(name, seed, args.smoke)
            found += table
        results[name] = {"settings": machine(), "medians": medians(found), "rows": found}
        print(f"\n{as_table(results[name]['medians'])}", flush=True)
        file.write_text(json.dumps(results, indent=2))

    draw_heads(guides, args.out / "transformer.png")
    print(f"{LEGEND}\nWrote {args.out}: transformer.json, transformer.png")


if __name__ == "__main__":
    main()
