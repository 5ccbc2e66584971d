r"""A model and a guide as something that can be trained."""

__all__ = ["first_batch", "trained_parameters"]

from collections.abc import Callable

import pyro
import torch
from pyro import poutine
from pyro.nn import PyroModule
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from pyro_sparse.effects import heard_parameters
from pyro_sparse.infer.batches import Arguments, Batches, TensorBatches, moved
from pyro_sparse.infer.bound import run_pair
from pyro_sparse.infer.draws import evaluating
from pyro_sparse.infer.randomness import random_state, restore_random_state


def trained_parameters(model: Callable, guide: Callable, batches: Batches) -> dict[str, Tensor]:
    r"""The parameters of a model and a guide, by name.

    Those of modules are there from the start. Those of functions, in Pyro's store, and those of
    modules that make them when they are first called, are found by running both once on a batch,
    without counting a step or a random number.

    Args:
        model: The model.
        guide: The guide.
        batches: The data.

    Raises:
        ValueError: There is nothing to train.
    """

    if isinstance(batches, TensorBatches) or not (_is_plain(model) and _is_plain(guide)):
        heard = _heard(model, guide, batches)
    else:
        heard = []

    programs = {"model": model, "guide": guide}
    modules = nn.ModuleDict({n: p for n, p in programs.items() if isinstance(p, nn.Module)})
    found: dict[str, Tensor] = dict(modules.named_parameters())
    found = {name: p for name, p in found.items() if p.requires_grad}
    known = {id(p) for p in modules.parameters()}
    found |= {name: p for name, p in heard if id(p) not in known and p.requires_grad}

    if not found:
        raise ValueError(
            "Neither the model nor the guide has a parameter that requires a gradient. Make a "
            "guide with AutoSparse(model), or write one with pyro.param."
        )
    return found


def _is_plain(program: Callable) -> bool:
    if not isinstance(program, nn.Module) or any(is_lazy(p) for p in program.parameters()):
        return False
    return not any(isinstance(module, PyroModule) for module in program.modules())


def first_batch(batches: Batches) -> Arguments:
    r"""A batch to look at; the data, and all random numbers, are as before.

    Args:
        batches: The data.

    Raises:
        ValueError: There is none.
    """

    before, data = random_state(), batches.state()
    try:
        return next(batches.epoch(1))
    except StopIteration:
        raise ValueError("Training needs at least one batch, and the data has none.") from None
    finally:
        restore_random_state(before)
        batches.load_state(data)


def _heard(model: Callable, guide: Callable, batches: Batches) -> list[tuple[str, Tensor]]:
    args, kwargs = moved(first_batch(batches), _device(model, guide))
    before = random_state()
    try:
        with (
            torch.no_grad(),
            pyro.validation_enabled(False),
            evaluating(model, guide),
            poutine.trace(param_only=True) as heard,
        ):
            run_pair(model, guide, args, kwargs)
    finally:
        restore_random_state(before)
    return heard_parameters(heard.trace)


def _device(*programs: Callable) -> torch.device:
    owned = (p.device for m in programs if isinstance(m, nn.Module) for p in m.parameters())
    return next(owned, torch.get_default_device())
