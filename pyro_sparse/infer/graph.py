r"""A program as one graph whose inputs are its arguments and everything it reads around it."""

__all__ = ["Graph", "UntraceableError", "capture"]

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyro
import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from pyro_sparse.infer.places import Place
from pyro_sparse.infer.randomness import random_state, restore_random_state
from pyro_sparse.infer.surroundings import Surroundings


class UntraceableError(RuntimeError):
    r"""A program does something that cannot be part of a graph."""


class _NoLooking(TorchDispatchMode):
    """Refuses to turn a tensor around the program into a number, which the graph would keep."""

    def __init__(self, around: Surroundings) -> None:
        super().__init__()
        self.paths = {id(tensor): place.path for place, tensor in around.tensors}

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        looked_at = [self.paths[id(arg)] for arg in args if id(arg) in self.paths]
        if looked_at and torch.Tag.data_dependent_output in func.tags:
            raise UntraceableError(f"{func} reads the value of {looked_at[0]}")
        return func(*args, **(kwargs or {}))


class _NoExport(TorchFunctionMode):
    """Refuses what takes values out of torch without an operation that could be recorded."""

    EXPORTS = Tensor.tolist, Tensor.numpy, Tensor.__array__

    def __torch_function__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in self.EXPORTS:
            raise UntraceableError(f"Tensor.{func.__name__} reads a tensor's values")
        return func(*args, **(kwargs or {}))


@dataclass(frozen=True)
class Graph:
    r"""A captured program.

    Args:
        module: Takes the arguments, then the lifted tensors; returns a flat tuple.
        places: Where the lifted tensors are kept; None for one that has no place and stays.
        lifted: The tensors it was captured with.
    """

    module: GraphModule
    places: list[Place | None]
    lifted: list[Tensor]

    def read(self) -> list[Tensor]:
        r"""The lifted tensors as they are now."""

        pairs = zip(self.places, self.lifted, strict=True)
        return [tensor if place is None else place.read() for place, tensor in pairs]


def capture(
    program: Callable[..., Sequence[Tensor]],
    arguments: Sequence[Tensor],
    around: Surroundings,
) -> Graph:
    r"""Captures a program by running it once, and leaves no trace of that run.

    Args:
        program: A function of tensors that returns tensors.
        arguments: What it is run on.
        around: The surroundings of the program.

    Raises:
        UntraceableError: The program looks at a tensor's value in Python, changes what is around
            it, or uses an operation that cannot be part of a graph.
    """

    exposed = [*arguments, *(tensor for _, tensor in around.tensors)]
    kept = [(t, t.detach().clone()) for t in exposed if not _overlaps(t)]
    generators = random_state()
    try:
        with pyro.validation_enabled(False), _NoLooking(around), _NoExport():
            module = make_fx(program, tracing_mode="real")(*arguments)
        _check_draws(generators)
    except Exception as error:
        raise UntraceableError(_explanation(error)) from error
    finally:
        restore_random_state(generators)
        with torch.no_grad():
            for tensor, value in kept:
                # Not every change counts a version: batch norm's and fused updates do not.
                if not tensor.equal(value):
                    tensor.copy_(value)

    changed = around.change()
    if changed is not None:
        raise UntraceableError(
            "A compiled program leaves what is around it as it is, and this one changes "
            f"{changed} when it runs. Keep such state in a buffer that is changed in place, or "
            "use compile=False."
        )

    lifted = _lift(module)
    places = [around.place_of(tensor) for tensor in lifted]
    _check_found(lifted, places)
    return Graph(module, places, lifted)


def _check_draws(before: Mapping[str, Any]) -> None:
    """A graph draws from torch's generator only; numbers of another one would stay the same."""
    now = random_state()
    for name in ("python", "numpy"):
        if name in before and before[name] != now[name]:
            raise UntraceableError(f"the program draws from the generator of {name}")


def _check_found(lifted: Sequence[Tensor], places: Sequence[Place | None]) -> None:
    """What is trained must be found, or its gradient would be lost."""
    for tensor, place in zip(lifted, places, strict=True):
        if place is None and tensor.requires_grad:
            raise UntraceableError(
                f"The program reads a trained tensor of shape {tuple(tensor.shape)} that cannot "
                "be found around it. Make it an attribute of the model or the guide, or use "
                "compile=False."
            )


def _overlaps(tensor: Tensor) -> bool:
    """Whether elements share memory, as in expanded tensors, whose base is around as well."""
    pairs = zip(tensor.shape, tensor.stride(), strict=True)
    return any(size > 1 and stride == 0 for size, stride in pairs)


def _lift(module: GraphModule) -> list[Tensor]:
    """Turns the tensors that the graph holds into inputs, one for each."""
    graph = module.graph
    last = [node for node in graph.nodes if node.op == "placeholder"][-1]
    inputs: dict[int, Node] = {}
    lifted: list[Tensor] = []

    for node in [node for node in graph.nodes if node.op == "get_attr"]:
        tensor = getattr(module, str(node.target))
        if not isinstance(tensor, Tensor):
            continue
        if id(tensor) not in inputs:
            with graph.inserting_after(last):
                last = graph.placeholder(f"lifted_{len(lifted)}")
            inputs[id(tensor)] = last
            lifted.append(tensor)
        node.replace_all_uses_with(inputs[id(tensor)])
        graph.erase_node(node)

    graph.lint()
    module.recompile()
    for name in [name for name in vars(module) if name.startswith(("_param_", "_tensor_"))]:
        delattr(module, name)
    return lifted


def _explanation(error: Exception) -> str:
    text = str(error).strip().split("\n")[0]
    return (
        f"The program cannot be compiled as one graph: {type(error).__name__}: {text}. Programs "
        "that look at values (`if x > 0`, .item(), data-dependent shapes) or draw from an own "
        "generator cannot; use compile=False, or compile='auto', which then stays eager."
    )
