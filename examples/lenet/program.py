"""From a method's settings to a trained model and guide."""

__all__ = ["build", "train"]

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from examples.lenet.methods import METHODS, Method
from examples.support.augmented import Augmented, batches
from examples.support.data import Data
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import Budget, TraceSparse_ELBO, Training, fit
from pyro_sparse.infer.schedules import linear
from pyro_sparse.nn import Classifier, bayesianize
from pyro_sparse.prune import freeze

BATCH = 250  # divides 60,000, so that one compiled graph serves all batches

Look = Callable[[Training], Mapping[str, Any]]


def build(method: Method, net: nn.Module, num_data: int) -> tuple[Classifier, AutoSparse]:
    """Model and guide of a method, around a plain network that is left as it is."""
    if method.dropout:
        net = with_dropout(net, method.dropout)
    model = Classifier(bayesianize(net, **method.priors), num_data)
    return model, AutoSparse(model, **method.guide)


def with_dropout(net: nn.Module, rate: float) -> nn.Sequential:
    """The same chain of layers with binary dropout behind every dense hidden layer."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    dense = False
    for name, layer in net.named_children():
        layers[name] = layer
        if dense and isinstance(layer, nn.ReLU):
            layers[name.replace("relu", "dropout")] = nn.Dropout(rate)
        dense = isinstance(layer, nn.Linear)
    return nn.Sequential(layers)


def train(
    method: Method,
    net: nn.Module,
    data: Data,
    seed: int,
    checkpoint: Path,
    looks: Sequence[Look] = (),
    compiled: bool = True,
    shift: int = 0,
) -> Training:
    """Trains a method, or goes on where its checkpoint was written.

    Args:
        method: The settings.
        net: A plain network, whose values the training starts from.
        data: What to train on.
        seed: Decides noise and order.
        checkpoint: The file the training is written to.
        looks: What to note after every epoch.
        compiled: Whether to compile the bound.
        shift: By how many pixels images are shifted at most, each time anew.
    """
    if method.pretrain:
        dense = replace(METHODS["dense"], epochs=method.pretrain)
        before = train(
            dense, net, data, seed, checkpoint.with_suffix(".dense"), (), compiled, shift
        )
        assert isinstance(before.model, nn.Module)
        net = freeze(before.model, before.guide)

    model, guide = build(method, net.to(data.x.device), len(data.x))
    steps = method.epochs * len(data.x.split(BATCH))
    begin, end = (share * steps for share in method.warm_up)
    weight = linear(0.0, method.kl_weight, steps=end - begin, delay=begin)
    return fit(
        model,
        guide,
        batches(Augmented(data.x, data.y, shift), BATCH) if shift else (data.x, data.y),
        epochs=method.epochs,
        batch_size=BATCH,
        lr=method.lr,
        gate_lr=method.gate_lr,
        optimizer=lambda groups: torch.optim.Adam(groups, fused=True),
        elbo=TraceSparse_ELBO(kl_weight=weight, compile="auto" if compiled else False),
        budget=Budget(weights=method.budget) if method.budget else None,
        callbacks=looks,
        checkpoint=checkpoint,
        every=60.0,
        resume=True,
        seed=seed,
    )
