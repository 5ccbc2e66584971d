"""Parameter checks with one clear message: the rule, the offending value, the remedy."""

__all__ = ["Shape", "broadcast_batch", "is_tracing", "require", "require_methods", "validates"]

from typing import TypeAlias

import torch
from torch import Size, Tensor
from torch.distributions import Distribution
from torch.fx.experimental.proxy_tensor import get_proxy_mode

Shape: TypeAlias = Size | list[int] | tuple[int, ...]


def is_tracing() -> bool:
    """True while `make_fx` or `torch.compile` records a graph: values cannot be looked at then."""
    return get_proxy_mode() is not None or torch.compiler.is_compiling()


def validates(validate_args: bool | None) -> bool:
    """Whether a law under construction shall look at the values of its parameters.

    Args:
        validate_args: the law's argument; `None` asks the process-wide default, the one that
            `pyro.distributions.enable_validation` sets.
    """
    asked = Distribution._validate_args if validate_args is None else validate_args
    return asked and not is_tracing()


def require(valid: Tensor | bool, value: object, rule: str, remedy: str) -> None:
    """Raises a `ValueError` unless every entry is valid.

    Args:
        valid: what is true of a good value, of the shape of `value`.
        value: the value to quote, a number or a tensor.
        rule: a sentence such as "HardConcrete needs temperature > 0".
        remedy: what to do instead.
    """
    if valid is True or (isinstance(valid, Tensor) and bool(valid.all())):
        return

    if isinstance(value, Tensor) and isinstance(valid, Tensor):
        wrong = value.detach()[~valid.expand(value.shape)]
        count = "" if value.numel() == 1 else f" ({wrong.numel()} of {value.numel()} entries)"
        got = f"{wrong.flatten()[0].item():g}{count}"
    else:
        got = f"{value}"

    raise ValueError(f"{rule}, got {got}. {remedy}")


def broadcast_batch(law: str, **parameters: Tensor) -> Size:
    """The batch shape that parameters broadcast to; names their shapes when they do not."""
    try:
        return torch.broadcast_shapes(*(value.shape for value in parameters.values()))
    except RuntimeError:
        shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in parameters.items())
        raise ValueError(
            f"{law} needs parameters whose shapes broadcast, got {shapes}. "
            "Align them from the right, e.g. with `unsqueeze`."
        ) from None


def require_methods(owner: str, law: object, *names: str) -> None:
    """Raises a `TypeError` that names each method `owner` needs and `law` lacks."""
    if not isinstance(law, Distribution):
        raise TypeError(
            f"{owner} needs a law (a torch or Pyro distribution), got {type(law).__name__}. "
            "Build the law first, e.g. `Normal(0.0, 1.0)`."
        )

    missing = [name for name in names if getattr(type(law), name) is getattr(Distribution, name)]
    if missing:
        raise TypeError(
            f"{owner} needs a law with {', '.join(names)}; {type(law).__name__} lacks "
            f"{', '.join(missing)}. Define the missing method in a subclass."
        )
