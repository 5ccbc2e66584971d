"""What a trained method is worth, measured on the physically smaller network."""

__all__ = ["look", "result", "smaller"]

import platform
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from examples.benchmarks.timing import interleaved
from examples.convnets.data import Images
from examples.convnets.methods import Method
from examples.convnets.program import BATCH, Way, augmented
from examples.lenet.result import describe, nonzero_weights
from examples.support.commit import commit
from pyro_sparse.distributions import Gate
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import Training
from pyro_sparse.local import peel
from pyro_sparse.prune import compact, count, expected_macs, freeze

AT_ONCE = 500
RENEWED = 4000  # images for the statistics of norms
COMPARED = 2000  # images on which networks shall give the same


@torch.no_grad()
def outputs(net: nn.Module, images: Images, pixels: Tensor) -> Tensor:
    return torch.cat([net(images.standardised(part)) for part in pixels.split(AT_ONCE)])


def renew_norms(net: nn.Module, images: Images) -> None:
    """Measures the statistics of batch norms anew, in place, on images shifted as in training.

    Those of the training were taken under the noise of weights and gates, which is gone. Images
    that are not shifted have none of the black borders that the training saw: with their
    statistics a ResNet-20 of four epochs got 27.1 % of the test images wrong, with these 24.9 %.

    Args:
        net: A network in evaluation mode.
        images: The images.
    """
    data = augmented(images, channels_last=False)
    with torch.random.fork_rng([images.x.device] if images.x.is_cuda else []):
        torch.manual_seed(0)
        chosen = torch.randperm(len(images.y))[:RENEWED]
        update_bn((data[part.tolist()] for part in chosen.split(AT_ONCE)), net)


def smaller(training: Training, images: Images) -> tuple[nn.Module, Any]:
    """The network with zeros, and the compact one."""
    assert isinstance(training.model, nn.Module)
    frozen = freeze(training.model, training.guide).eval()
    renew_norms(frozen, images)
    return frozen, compact(frozen, images.example, allow_empty=True).eval()


def look(small: Any, training: Training, images: Images) -> dict[str, Any]:
    """Error and cost of the compact network, and the cost that the posterior expects.

    Args:
        small: The compact network.
        training: The training that led to it.
        images: What it is trained and measured on.
    """
    found, left = count(small, images.example), nonzero_weights(small)
    return {
        "error": _wrong(outputs(small, images, images.x_test), images.y_test),
        "architecture": found.architecture,
        "parameters": found.parameters,
        "weights": found.weights,
        "nonzeros": sum(left.values()),
        "macs": found.macs,
        "nonzero_macs": found.nonzero_macs,
        **{f"nonzeros {name}": number for name, number in left.items()},
        **_expected(training, images),
    }


def result(
    training: Training, method: Method, net: nn.Module, images: Images, way: Way, seen: Any
) -> dict[str, Any]:
    """A row for the table: settings, what came out, and how it came about.

    The best error is the smallest of any epoch that was looked at, chosen on the images it is
    measured on. The error is that of the last epoch.

    Args:
        training: A training that is complete.
        method: Its settings.
        net: The plain network it began with.
        images: What it was trained and is measured on.
        way: How the numbers were worked out.
        seen: The network with zeros, and the compact one.
    """
    small = seen[1]
    whole, less = (outputs(part, images, images.x_test[:COMPARED]) for part in seen)
    final = look(small, training, images)
    training.row.update(final)
    ms = _milliseconds({"dense": net.eval(), "compact": small}, images, way)
    dense = count(net, images.example)
    errors = [row["error"] for row in training.rows if "error" in row]
    return {
        "title": method.title,
        "structured": method.structured,
        "commit": commit(),
        "data_title": images.title,
        "images": len(images.y),
        "test_images": len(images.y_test),
        **final,
        "best_error": min(errors),
        "train_error": _wrong(outputs(small, images, images.x[:COMPARED]), images.y[:COMPARED]),
        "dense_weights": dense.weights,
        "dense_macs": dense.macs,
        "layers": {row.name: row.weights for row in dense.layers if row.weights},
        "ms_of_a_batch": ms,
        "faster": ms["dense"] / ms["compact"],
        "difference": ((whole - less).abs().max() / whole.abs().max()).item(),
        "epochs": training.epoch,
        "batch": BATCH,
        "seconds": training.seconds,
        "machine": f"{platform.machine()}, {torch.get_num_threads()} thread, {images.x.device}",
        "torch": torch.__version__,
        "settings": {name: describe(value) for name, value in vars(method).items()},
        "way": vars(way),
        "history": training.rows,
    }


def _wrong(logits: Tensor, labels: Tensor) -> float:
    return 100 * (logits.argmax(-1) != labels).double().mean().item()


@torch.no_grad()
def _milliseconds(nets: Mapping[str, nn.Module], images: Images, way: Way) -> dict[str, float]:
    """What a batch takes, the networks taking turns."""
    layout = torch.channels_last if way.channels_last else torch.contiguous_format
    x = images.standardised(images.x[:BATCH]).contiguous(memory_format=layout)
    calls = {name: partial(net.to(memory_format=layout), x) for name, net in nets.items()}
    with torch.autocast(x.device.type, torch.bfloat16, enabled=way.autocast):
        return interleaved(calls, rounds=7, steps=20 if x.is_cuda else 1, warm_up=2)


@torch.no_grad()
def _expected(training: Training, images: Images) -> dict[str, float]:
    """Multiply-adds after a draw of the gates, on average."""
    assert isinstance(training.model, nn.Module)
    assert isinstance(training.guide, AutoSparse)
    laws = [peel(law) for law in training.guide.laws().values()]
    if not any(isinstance(law, Gate) for law in laws):
        return {}

    macs = expected_macs(training.model, training.guide, images.example)
    return {"expected_macs": sum(cost.item() for cost in macs.values())}
