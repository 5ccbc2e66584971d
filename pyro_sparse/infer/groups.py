r"""Optimisers and their schedules: gates and weights as two groups of parameters."""

__all__ = ["build_optimizer", "build_scheduler", "parameter_groups"]

from collections.abc import Callable
from typing import Any

from pyro.optim import PyroOptim
from torch import Tensor
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer.schedules import Schedule, linear
from pyro_sparse.prune.mask import posteriors

Named = dict[str, Tensor]


def parameter_groups(
    guide: Callable, parameters: Named, lr: float, gate_lr: float
) -> list[dict[str, Any]]:
    r"""The groups "weights" and "gates"; a group without parameters is left out.

    Args:
        guide: The guide. Of an `AutoSparse` guide it is known which sites are gates; otherwise a
            parameter belongs to a gate if a part of its name is "gate" or "gates".
        parameters: All trained parameters, by name.
        lr: Learning rate of the weights.
        gate_lr: Learning rate of the gates.
    """

    gates = _gates(guide, parameters)
    members = {
        "weights": [p for name, p in parameters.items() if name not in gates],
        "gates": [p for name, p in parameters.items() if name in gates],
    }
    rates = {"weights": lr, "gates": gate_lr}
    groups = [
        {"name": name, "params": found, "lr": rates[name]} for name, found in members.items()
    ]
    return [group for group in groups if group["params"]]


def build_optimizer(given: Any, groups: list[dict[str, Any]]) -> Optimizer:
    r"""The optimiser that a user means.

    Args:
        given: An optimiser, a function of the groups that makes one, or None for Adam.
        groups: The parameter groups.

    Raises:
        TypeError: It is neither.
        ValueError: It trains none of the parameters.
    """

    makes = callable(given) and not isinstance(given, PyroOptim)
    if not (given is None or makes or isinstance(given, Optimizer)):
        raise TypeError(
            "The optimizer is one of torch.optim, or a function of parameter groups that makes "
            f"one, such as functools.partial(torch.optim.SGD, momentum=0.9), got {given!r}."
        )

    if given is None:
        return Adam(groups)
    optimizer = given if isinstance(given, Optimizer) else given(groups)
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"A function that makes an optimizer returns it, and this one returned {optimizer!r}."
        )

    wanted = {id(p) for group in groups for p in group["params"]}
    if not any(id(p) in wanted for group in optimizer.param_groups for p in group["params"]):
        raise ValueError(
            "The optimizer trains none of the parameters of this model and guide. Make it from "
            "guide.parameters(), or let fit make it."
        )
    return optimizer


def build_scheduler(given: Any, optimizer: Optimizer, steps: int) -> Any:
    r"""The schedule of the learning rates that a user means, or None for constant ones.

    Args:
        given: "decay", a `Schedule` of factors, a scheduler of torch, a function of the optimiser
            that makes one, or None.
        optimizer: The optimiser.
        steps: Number of steps of the training, 0 if not known.

    Raises:
        TypeError: It is none of these.
        ValueError: The decay needs a number of steps.
    """

    if given == "decay":
        if not steps:
            raise ValueError(
                "The rates decay over a training of known length, and the data does not know its "
                "own. Give scheduler=None, or a schedule of the step."
            )
        return LambdaLR(optimizer, _factor(linear(1.0, 0.0, steps=steps / 2, delay=steps / 2)))
    if isinstance(given, Schedule):
        return LambdaLR(optimizer, _factor(given))
    if given is None or isinstance(given, LRScheduler):
        return given

    try:
        made = given(optimizer) if callable(given) else given
    except TypeError as error:
        raise TypeError(
            "A function that makes a scheduler has the optimizer as its only argument, such as "
            f"functools.partial(StepLR, step_size=100), got {given!r}: {error}."
        ) from error
    if not isinstance(made, LRScheduler):
        raise TypeError(
            "The scheduler is 'decay', None, a schedule of pyro_sparse.infer.schedules, or one of "
            "torch.optim.lr_scheduler or a function of the optimizer that makes one, got "
            f"{made!r}."
        )
    return made


def _factor(schedule: Schedule) -> Callable[[int], float]:
    # A function's state is not saved with the scheduler: it is a function of the step alone.
    return lambda step: schedule(step)


def _gates(guide: Callable, parameters: Named) -> set[str]:
    if isinstance(guide, AutoSparse):
        sites = {site for site, p in posteriors(guide).items() if p.role == "gate"}
        prefixes = tuple(f"guide.sites.{site}." for site in sites)
        return {name for name in parameters if name.startswith(prefixes)}
    return {name for name in parameters if {"gate", "gates"} & set(name.split("."))}
