"""Parameter checks with one clear message: the rule, the offending value, the remedy."""

__all__ = [
    "Shape",
    "broadcast",
    "check_sample",
    "is_tracing",
    "logits_from",
    "require",
    "require_methods",
    "settle",
    "together",
    "validates",
]

from collections.abc import Mapping
from typing import TypeAlias

import torch
from torch import Size, Tensor
from torch.distributions import Distribution
from torch.distributions.utils import probs_to_logits
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


def settle(law: Distribution, validate_args: bool | None) -> None:
    """Decides whether a law that has checked its parameters checks samples too.

    With `None` it follows the process-wide default, also when that changes.
    """
    if validate_args is not None:
        law._validate_args = validate_args
    elif "_validate_args" in vars(law):
        del law._validate_args


def check_sample(law: Distribution, value: Tensor) -> None:
    """Raises unless `value` lies in the support of a law that checks samples."""
    if law._validate_args and not is_tracing():
        law._validate_sample(value)


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


def broadcast(law: str, shapes: Mapping[str, Size]) -> Size:
    """The batch shape that named shapes broadcast to; names them all when they do not."""
    try:
        return torch.broadcast_shapes(*shapes.values())
    except RuntimeError:
        named = ", ".join(f"{name} {tuple(shape)}" for name, shape in shapes.items())
        raise ValueError(
            f"{law} needs parameters whose shapes broadcast, got {named}. "
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


def together(*values: Tensor | float) -> tuple[Tensor, ...]:
    """Tensors of numbers and tensors; numbers take the precision and place of the first tensor.

    Tensors of integers become floating ones.
    """
    values = tuple(map(_floating, values))
    like = next((value for value in values if isinstance(value, Tensor)), None)
    if like is None:
        return tuple(torch.tensor(value, dtype=torch.get_default_dtype()) for value in values)

    return tuple(v if isinstance(v, Tensor) else like.new_full((), v) for v in values)


def _floating(value: Tensor | float) -> Tensor | float:
    if isinstance(value, Tensor) and not value.is_floating_point():
        return value.to(torch.get_default_dtype())
    return value


def logits_from(
    law: str,
    probs: Tensor | float | None,
    logits: Tensor | float | None,
    check: bool,
    *others: Tensor | float,
) -> tuple[Tensor, ...]:
    """The log odds of a law that takes either `probs` or `logits`, then its other parameters."""
    value = logits if probs is None else probs
    if value is None or (probs is not None and logits is not None):
        got = "neither" if value is None else "both"
        raise ValueError(
            f"{law} needs either probs or logits, got {got}. Give exactly one of them."
        )

    tensor, *rest = together(value, *others)
    if probs is None:
        if check:
            rule = f"{law} needs finite logits"
            require(tensor.isfinite(), tensor, rule, "Look for a diverging loss.")
        return tensor, *rest

    if check:
        inside = (tensor >= 0) & (tensor <= 1)
        require(inside, tensor, f"{law} needs probs in [0, 1]", "Pass log odds as `logits`.")
    return probs_to_logits(tensor, is_binary=True), *rest
