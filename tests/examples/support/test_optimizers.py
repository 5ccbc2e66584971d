"""Two optimisers as one: the same steps, also by a schedule and after a checkpoint."""

import copy
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import LambdaLR

from examples.support.optimizers import Together

MAKERS: dict[str, Any] = {"weights": partial(SGD, momentum=0.9, nesterov=True), "gates": Adam}


def parameters() -> list[nn.Parameter]:
    return [nn.Parameter(torch.arange(3.0)), nn.Parameter(torch.ones(2))]


def together(weight: nn.Parameter, gate: nn.Parameter) -> Together:
    groups = [
        {"name": "weights", "params": [weight], "lr": 0.1},
        {"name": "gates", "params": [gate], "lr": 0.01},
    ]
    return Together(groups, MAKERS)


def give_gradients(values: list[nn.Parameter], step: int) -> None:
    for value in values:
        value.grad = value.detach().sin() + step


def test_each_group_is_stepped_by_its_own_optimiser() -> None:
    ours, apart = parameters(), parameters()
    optimizer = together(*ours)
    rate = LambdaLR(optimizer, lambda step: 1 / (1 + step))

    for step in range(4):
        give_gradients(ours, step)
        optimizer.step()
        rate.step()

    sgd = SGD([apart[0]], 0.1, momentum=0.9, nesterov=True)
    adam = Adam([apart[1]], 0.01)
    rates = [LambdaLR(o, lambda step: 1 / (1 + step)) for o in (sgd, adam)]
    for step in range(4):
        give_gradients(apart, step)
        for optimizer_apart, rate_apart in zip((sgd, adam), rates, strict=True):
            optimizer_apart.step()
            rate_apart.step()
    assert all(torch.equal(a, b) for a, b in zip(ours, apart, strict=True))


def test_a_checkpoint_keeps_momentum_and_rates() -> None:
    first = parameters()
    optimizer = together(*first)
    give_gradients(first, 0)
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 0.05

    second = [nn.Parameter(value.detach().clone()) for value in first]
    loaded = together(*second)
    loaded.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for values, other in ((first, optimizer), (second, loaded)):
        give_gradients(values, 1)
        other.step()

    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert loaded.members[0].param_groups[0]["lr"] == 0.05
