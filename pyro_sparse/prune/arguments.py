"""The arguments of a network as plain data, so that a fresh one can be given the like."""

__all__ = ["argument_like", "described"]

from typing import Any

import torch
from torch import Tensor

CONTAINERS: dict[str, type[list[Any]] | type[tuple[Any, ...]]] = {"list": list, "tuple": tuple}


def described(argument: Any) -> dict[str, Any]:
    """An argument as data: shapes and types of tensors, also inside lists, tuples, dictionaries.

    Args:
        argument: a tensor, a container of arguments, or a value.
    """
    if isinstance(argument, Tensor):
        dtype = str(argument.dtype).removeprefix("torch.")
        return {"shape": list(argument.shape), "dtype": dtype}
    if type(argument) is dict:
        return {"dict": [[key, described(value)] for key, value in argument.items()]}
    if type(argument) in CONTAINERS.values():
        return {type(argument).__name__: [described(value) for value in argument]}

    return {"value": argument}


def argument_like(description: dict[str, Any], like: Tensor) -> Any:
    """An argument of that description, with zeros in its tensors.

    Args:
        description: what `described` returned.
        like: a tensor of the device, and the precision, that is wanted.
    """
    if "shape" in description:
        dtype = getattr(torch, description["dtype"])
        wanted = like.dtype if dtype.is_floating_point else dtype
        return torch.zeros(description["shape"], dtype=wanted, device=like.device)
    if "dict" in description:
        return {key: argument_like(value, like) for key, value in description["dict"]}
    for name, kind in CONTAINERS.items():
        if name in description:
            return kind(argument_like(value, like) for value in description[name])

    return description["value"]
