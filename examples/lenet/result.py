"""What a trained method is worth, measured on the physically smaller network."""

__all__ = ["BINS", "describe", "expected_cost", "gate_counts", "measure", "result", "smaller"]

import platform
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from examples.lenet.methods import Method
from examples.support.commit import commit
from examples.support.data import Data
from pyro_sparse.distributions import Gate
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import Training
from pyro_sparse.local import law_tensors, peel
from pyro_sparse.prune import compact, count, expected_macs, freeze

BINS = 20


@torch.no_grad()
def outputs(net: nn.Module, x: Tensor) -> Tensor:
    return torch.cat([net(part) for part in x.split(2000)])


def error(net: nn.Module, x: Tensor, y: Tensor) -> float:
    """Percentage of images that are not read as labelled."""
    return 100 * (outputs(net, x).argmax(-1) != y).double().mean().item()


def nonzero_weights(net: nn.Module) -> dict[str, int]:
    """Weights other than 0 of each layer, biases left out."""
    return {
        name.removesuffix(".weight"): int(parameter.count_nonzero())
        for name, parameter in net.named_parameters()
        if parameter.ndim > 1
    }


def measure(net: nn.Module, data: Data) -> dict[str, Any]:
    """Error and cost of a network, architecture and weights in the papers' accounting."""
    found = count(net, data.x[:1])
    left = nonzero_weights(net)
    return {
        "error": error(net, data.x_test, data.y_test),
        "architecture": found.architecture,
        "weights": found.weights,
        "nonzeros": sum(left.values()),
        "macs": found.macs,
        "nonzero_macs": found.nonzero_macs,
        **{f"nonzeros {name}": number for name, number in left.items()},
    }


@torch.no_grad()
def gate_counts(training: Training) -> dict[str, str]:
    """A draw of each layer's gates, counted in `BINS` bins from 0 to 1."""
    assert isinstance(training.guide, AutoSparse)
    laws = {site: peel(law) for site, law in training.guide.laws().items()}
    draws = {site: law.sample().cpu() for site, law in laws.items() if isinstance(law, Gate)}
    counts = {site: torch.histc(draw.float(), BINS, 0, 1).int() for site, draw in draws.items()}
    return {f"bins {site}": " ".join(map(str, n.tolist())) for site, n in counts.items()}


@torch.no_grad()
def expected_cost(training: Training, data: Data) -> dict[str, float]:
    """Multiply-adds that the network will need on average once its gates are drawn."""
    assert isinstance(training.model, nn.Module)
    assert isinstance(training.guide, AutoSparse)
    laws = [peel(law) for law in training.guide.laws().values()]
    if not any(isinstance(law, Gate) for law in laws):
        return {}

    macs = expected_macs(training.model, training.guide, data.x[:1])
    return {"expected macs": sum(cost.item() for cost in macs.values())}


def smaller(training: Training, data: Data) -> tuple[nn.Module, Any]:
    """The network with zeros, and the compact one."""
    assert isinstance(training.model, nn.Module)
    frozen = freeze(training.model, training.guide).eval()
    return frozen, compact(frozen, data.x[:2], allow_empty=True).eval()


def result(
    training: Training, method: Method, net: nn.Module, data: Data, small: Any, frozen: nn.Module
) -> dict[str, Any]:
    """A row for the table: settings, what came out, and how it came about.

    The best error is the smallest of any epoch on the test set, as papers give it; it is chosen
    on the images it is measured on. The error is that of the last epoch.
    """
    whole, less = outputs(frozen, data.x_test), outputs(small, data.x_test)
    final = measure(small, data)
    dense = count(net, data.x[:1])
    return {
        "title": method.title,
        "structured": method.structured,
        "commit": commit(),
        **final,
        "train_error": error(small, data.x, data.y),
        "best_error": min(row["error"] for row in training.rows),
        "compression": dense.weights / max(final["nonzeros"], 1),
        "difference": ((whole - less).abs().max() / whole.abs().max()).item(),
        "epochs": training.epoch,
        "seconds": training.seconds,
        "machine": f"{platform.machine()}, {torch.get_num_threads()} thread, {data.x.device}",
        "torch": torch.__version__,
        "settings": {name: describe(value) for name, value in vars(method).items()},
        "history": training.rows,
    }


def describe(value: Any) -> Any:
    """Settings as JSON; a law by its name and numbers."""
    if isinstance(value, dict):
        return {name: describe(part) for name, part in value.items()}
    if isinstance(value, Distribution):
        numbers = {name: round(t.item(), 8) for name, t in law_tensors(value) if t.numel() == 1}
        inner = ", ".join(f"{name}={number:g}" for name, number in numbers.items())
        return f"{type(value).__name__}({inner})"
    return value.__name__ if callable(value) and hasattr(value, "__name__") else _plain(value)


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return {type(value).__name__: asdict(value)}
    return value if isinstance(value, str | int | float | bool | tuple) else repr(value)
