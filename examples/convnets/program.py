"""From a method's settings to a trained model and guide."""

__all__ = ["Way", "augmented", "build", "train"]

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Size, Tensor, nn
from torch.optim import SGD, Adam, Optimizer

from examples.convnets.data import Images
from examples.convnets.methods import METHODS, Method
from examples.convnets.nets import NETS
from examples.support.augmented import Augmented, batches
from examples.support.optimizers import Together
from pyro_sparse.distributions import L0, L2
from pyro_sparse.guides import AutoSparse, fan_in_scale
from pyro_sparse.infer import Budget, TraceSparse_ELBO, Training, fit
from pyro_sparse.infer.schedules import cosine, linear
from pyro_sparse.nn import Classifier, GateSites, bayesianize, gate_sites
from pyro_sparse.prune import freeze

BATCH = 128
ADAM = 1e-3

Look = Callable[[Training], Mapping[str, Any] | None]


@dataclass(frozen=True)
class Way:
    """How the numbers are worked out; it hardly changes them.

    Attributes:
        compiled: Whether the bound is one compiled graph.
        autocast: Whether matrices are multiplied in bfloat16.
        channels_last: Whether colours and maps lie side by side in memory.
    """

    compiled: bool = False
    autocast: bool = False
    channels_last: bool = False


def build(
    method: Method, kind: str, net: nn.Module, images: Images
) -> tuple[Classifier, AutoSparse]:
    """Model and guide of a method, around a plain network that is left as it is.

    Args:
        method: The settings.
        kind: Which network it is.
        net: The network.
        images: What it will be trained on.
    """
    num_data = len(images.y)
    priors: dict[str, Any] = {"weight": method.weight or L2(method.decay * num_data)}
    if method.gated:
        sites = _hidden(gate_sites(net, images.example))
        penalty = NETS[kind].penalty if method.penalised else 0.0
        priors |= {"gate": _per_weight(penalty, net, sites), "gate_dim": sites}
    model = Classifier(bayesianize(net, **priors), num_data)
    return model, AutoSparse(model, init_scale=fan_in_scale(method.noise), **method.guide)


def train(
    method: Method,
    kind: str,
    net: nn.Module,
    images: Images,
    seed: int,
    files: tuple[Path, Path],
    looks: Sequence[Look] = (),
    way: Way = Way(),  # noqa: B008
) -> Training:
    """Trains a method, or goes on where its checkpoint was written.

    Args:
        method: The settings.
        kind: Which network it is.
        net: A plain network, whose values the training starts from.
        images: What to train on.
        seed: Decides noise and order.
        files: The file the training is written to, and that of a dense training, for methods
            that begin with one.
        looks: What to note after every epoch.
        way: How the numbers are worked out.
    """
    net = net.to(images.x.device)
    if method.pretrain:
        net = _pretrained(method, kind, net, images, seed, files[1], way)
    if way.channels_last:
        net = net.to(memory_format=torch.channels_last)

    model, guide = build(method, kind, net, images)
    loader = batches(augmented(images, way.channels_last), BATCH)
    steps = method.epochs * len(loader)
    begin, end = (share * steps for share in method.warm_up)
    weight = linear(0.0, method.kl_weight, steps=end - begin, delay=begin)
    return fit(
        model,
        guide,
        loader,
        epochs=method.epochs,
        lr=method.lr or (ADAM if method.adam else NETS[kind].lr),
        gate_lr=method.gate_lr,
        optimizer=partial(_optimizer, method, guide),
        scheduler=cosine(1.0, 0.0, steps=steps),
        elbo=TraceSparse_ELBO(kl_weight=weight, compile="auto" if way.compiled else False),
        budget=Budget(macs=method.budget) if method.budget else None,
        autocast=torch.bfloat16 if way.autocast else None,
        callbacks=looks,
        checkpoint=files[0],
        every=60.0,
        resume=True,
        seed=seed,
    )


def augmented(images: Images, channels_last: bool) -> Augmented:
    """Batches of images shifted by up to four pixels and mirrored, as is usual for CIFAR.

    Args:
        images: The images.
        channels_last: Whether colours lie side by side in memory, as GPUs like it.
    """
    layout = torch.channels_last if channels_last else torch.contiguous_format

    def prepare(pixels: Tensor) -> Tensor:
        return images.standardised(pixels).contiguous(memory_format=layout)

    return Augmented(images.x, images.y, shift=4, mirror=True, prepare=prepare)


def _pretrained(
    method: Method,
    kind: str,
    net: nn.Module,
    images: Images,
    seed: int,
    file: Path,
    way: Way,
) -> nn.Module:
    dense = replace(METHODS["dense"], epochs=method.pretrain)
    before = train(dense, kind, net, images, seed, (file, file), (), way)
    assert isinstance(before.model, nn.Module)
    return freeze(before.model, before.guide)


def _hidden(sites: GateSites) -> GateSites:
    """The same places without the gates of the three colours."""
    for (path, dim), (_, maker) in sites.units.items():
        if maker == "the input" and sites.get(path) == dim:
            del sites[path]
    return sites


def _per_weight(penalty: float, net: nn.Module, sites: GateSites) -> Callable[..., L0]:
    """Each unit costs so much for every weight that makes it, also where a norm has its gate."""
    costs = {}
    for (path, _), (units, maker) in sites.units.items():
        weight = net.get_parameter(f"{maker}.weight") if maker != "the input" else None
        costs[f"{path}.gate"] = penalty * (0 if weight is None else weight.numel() / units)

    def law(site: str, shape: Size, group_size: int) -> L0:
        return L0(costs[site])

    return law


def _optimizer(method: Method, guide: AutoSparse, groups: list[dict[str, Any]]) -> Optimizer:
    sgd = partial(SGD, momentum=0.9, nesterov=True)
    adam = partial(Adam, fused=True)
    makers = {"weights": adam if method.adam else sgd, "scales": adam, "gates": adam}
    return Together(_split(method, guide, groups), makers)


def _split(
    method: Method, guide: AutoSparse, groups: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Variances as a group of their own: they have far to go, in a logarithm."""
    scales = {id(p) for name, p in guide.named_parameters() if name.endswith("log_variance")}
    found = []
    for group in groups:
        own: list[Tensor] = [p for p in group["params"] if id(p) in scales]
        rest = [p for p in group["params"] if id(p) not in scales]
        parts = [group | {"name": "scales", "params": own, "lr": method.scale_lr}] if own else []
        found += [*parts, group | {"params": rest}]
    return found
