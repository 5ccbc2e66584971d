r"""The tensor that stands for a sample not yet drawn.

A `Deferred` has a shape, a dtype and a device but no storage. It is a product

    tensor * weight * gate_1 * gate_2 * ...

of at most one ordinary tensor, at most one local weight and any number of local gates. Operations
registered with `handles` may use its parts; every other operation gets ordinary numbers.
"""

__all__ = [
    "Deferred",
    "Factor",
    "as_activation",
    "as_number",
    "as_weight",
    "defer",
    "handles",
    "mark_weight",
]

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only

from pyro_sparse.local.draw import Draw
from pyro_sparse.local.parameters import law_tensors

View = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Factor:
    r"""A draw seen through views.

    Args:
        draw: The draw.
        shape: Shape after the views.
        views: Functions applied to the draw, first to last; none of them changes a value.
        reshaped_only: Whether the views keep the elements in their order.
    """

    draw: Draw
    shape: torch.Size
    views: tuple[View, ...] = ()
    reshaped_only: bool = True

    def seen(self, tensor: Tensor) -> Tensor:
        for view in self.views:
            tensor = view(tensor)
        return tensor

    def through(self, view: View, reshaped_only: bool) -> "Factor":
        shape = view(torch.empty(self.shape, device="meta")).shape
        views = (*self.views, view)
        return Factor(self.draw, shape, views, self.reshaped_only and reshaped_only)

    def number(self) -> Tensor:
        return self.seen(self.draw.number())

    def rows(self, size: int) -> Tensor:
        rows = self.draw.rows(size)
        if self.reshaped_only:
            return rows.reshape(size, *self.shape)
        return torch.vmap(self.seen)(rows)

    def moments(self) -> tuple[Tensor, Tensor | None]:
        mean, variance = self.draw.moments()
        return self.seen(mean), None if variance is None else self.seen(variance)

    def along(self, activation: Tensor) -> Tensor:
        r"""The gate's values beside an activation: one draw per example, where it has examples.

        Dimensions align from the right; the batch dimension lies left of the gate's own, which
        begin with the first of size other than 1.
        """

        first = next((dim for dim, size in enumerate(self.shape) if size != 1), 0)
        own = self.shape[first:]
        free = activation.ndim - len(own)
        batch_dim = self.draw.batch_dim
        if self.draw.is_number or not 0 <= batch_dim < free:
            return self.number()

        size = activation.shape[batch_dim]
        lead = [size if dim == batch_dim else 1 for dim in range(free)]
        return self.rows(size).reshape(*lead, *own)


class Deferred(torch.Tensor):
    r"""A product of samples that remember their laws; drawn by the operation that needs it."""

    tensor: Tensor | None
    weight: Factor | None
    gates: tuple[Factor, ...]

    @classmethod
    def __torch_function__(
        cls, func: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}

        if func in _ANSWERED:
            return _ANSWERED[func](args[0], *args[1:], **kwargs)

        if func in _HANDLERS:
            result = _HANDLERS[func](*args, **kwargs)
            if result is not NotImplemented:
                return result

        first = args[0] if args else None
        args, kwargs = tree_map_only(Deferred, as_number, (args, kwargs))
        result = func(*args, **kwargs)

        # An operation in place changes the product, not a number that nobody sees again.
        in_place = result is args[0] if args else False
        if isinstance(first, Deferred) and (in_place or func is torch.Tensor.__setitem__):
            first.become(args[0])
        return result

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        found = [arg for arg in tree_leaves((args, kwargs)) if isinstance(arg, Deferred)]
        sites = [site for deferred in found for site in deferred.sites]
        raise RuntimeError(
            f"A local sample has no storage, and {func} reached it below the level where it is "
            f"drawn (sites {sites}). Pass an ordinary sample, `w.clone()`, or use "
            "Local(law, shared=True)."
        )

    def __repr__(self, *, tensor_contents: object = None) -> str:  # type: ignore[override]
        laws = ", ".join(f"{f.draw.site}: {type(f.draw.law).__name__}" for f in self.factors)
        return f"Deferred({laws}, shape={tuple(self.shape)})"

    __hash__ = object.__hash__

    @property
    def factors(self) -> tuple[Factor, ...]:
        return (() if self.weight is None else (self.weight,)) + self.gates

    @property
    def sites(self) -> list[str]:
        return [factor.draw.site for factor in self.factors]

    @property
    def is_product(self) -> bool:
        r"""Whether there is more than one factor."""

        return len(self.factors) + (self.tensor is not None) > 1

    @property
    def is_weight(self) -> bool:
        r"""Whether the product is known to be made of weights alone: it has no examples."""

        return self.weight is not None or self.tensor is None or _is_known_weight(self.tensor)

    def through(self, view: View, reshaped_only: bool) -> "Deferred":
        r"""The product with a view taken of each factor; views of products must permute."""

        def widened(tensor: Tensor) -> Tensor:
            return tensor.reshape((1,) * (self.ndim - tensor.ndim) + tuple(tensor.shape))

        def seen(factor: Factor) -> Factor:
            if len(factor.shape) < self.ndim:
                factor = factor.through(widened, True)
            return factor.through(view, reshaped_only)

        tensor = None if self.tensor is None else view(widened(self.tensor))
        weight = None if self.weight is None else seen(self.weight)
        return defer(tensor, weight, tuple(seen(gate) for gate in self.gates))

    def times(self, other: Tensor) -> "Deferred":
        r"""The product with an ordinary tensor or another deferred product."""

        if not isinstance(other, Deferred):
            return defer(_product(self.tensor, other), self.weight, self.gates)

        tensor = _product(self.tensor, other.tensor)
        return defer(tensor, self.weight or other.weight, self.gates + other.gates)

    def become(self, number: Tensor) -> None:
        r"""Replaces the factors of a product by its value; a single sample keeps its own."""

        if self.is_product:
            self.tensor, self.weight, self.gates = number, None, ()


def defer(tensor: Tensor | None, weight: Factor | None, gates: tuple[Factor, ...]) -> Deferred:
    r"""Makes the deferred product of the given factors."""

    factors = (() if weight is None else (weight,)) + gates
    shapes = [factor.shape for factor in factors] + ([] if tensor is None else [tensor.shape])
    like = [t for factor in factors for _, t in law_tensors(factor.draw.law)]
    like = [t for t in like if t.is_floating_point()] + ([] if tensor is None else [tensor])
    trained = torch.is_grad_enabled() and any(t.requires_grad for t in like)
    like = [t for t in like if t.ndim] or like

    with torch._C.DisableTorchFunctionSubclass():
        deferred = torch.Tensor._make_wrapper_subclass(
            Deferred,
            torch.broadcast_shapes(*shapes),
            dtype=reduce(torch.promote_types, (t.dtype for t in like)),
            device=like[0].device,
            requires_grad=trained,
        )
        if trained:
            deferred.register_hook(_refuse_gradient)

    deferred.tensor, deferred.weight, deferred.gates = tensor, weight, gates
    return deferred


def as_number(deferred: Deferred) -> Tensor:
    r"""Ordinary numbers for an operation that knows nothing of laws.

    Weights are drawn once. A gated activation draws one gate per example.
    """

    return as_weight(deferred) if deferred.is_weight else as_activation(deferred)


def as_weight(deferred: Deferred) -> Tensor:
    r"""The value with one draw of each factor, which is right for whatever it is."""

    number = deferred.tensor
    for factor in deferred.factors:
        number = factor.number() if number is None else number * factor.number()

    assert number is not None
    return number


def as_activation(value: Tensor) -> Tensor:
    r"""The value in a slot for activations: gates are drawn per example."""

    if not isinstance(value, Deferred):
        return value
    if value.weight is not None or value.tensor is None:
        return as_number(value)

    activation = value.tensor
    for gate in value.gates:
        activation = activation * gate.along(value)
    return activation


def mark_weight(tensor: Tensor) -> None:
    r"""Notes that an ordinary tensor is a weight, of which torch itself shows no sign.

    A gate that multiplies it is drawn once, and not once a row.

    Args:
        tensor: The weight, of any shape; it gets the mark as an attribute.
    """

    tensor._is_weight = True  # type: ignore[attr-defined]


def _is_known_weight(tensor: Tensor) -> bool:
    seen: list[Any] = [tensor, tensor._base] if tensor._is_view() else [tensor]
    # Pyro keeps the unconstrained value of a parameter beside its value.
    marked = any(hasattr(t, name) for t in seen for name in ("_is_weight", "unconstrained"))
    trained = seen[-1].is_leaf and seen[-1].requires_grad
    return marked or trained or isinstance(seen[-1], nn.Parameter)


def handles(*functions: Callable) -> Callable[[Callable], Callable]:
    r"""Registers how functions treat deferred arguments; NotImplemented asks for numbers."""

    def register(handler: Callable) -> Callable:
        _HANDLERS.update(dict.fromkeys(functions, handler))
        return handler

    return register


_HANDLERS: dict[Callable, Callable] = {}


def _plainly(func: Callable) -> Callable:
    def answer(*args: Any, **kwargs: Any) -> Any:
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **kwargs)

    return answer


_METADATA: list[Any] = [
    torch.Tensor.shape.__get__,  # type: ignore[attr-defined]
    torch.Tensor.dtype.__get__,  # type: ignore[attr-defined]
    torch.Tensor.device.__get__,
    torch.Tensor.layout.__get__,  # type: ignore[attr-defined]
    torch.Tensor.ndim.__get__,  # type: ignore[attr-defined]
    torch.Tensor.requires_grad.__get__,  # type: ignore[attr-defined]
    torch.Tensor.size,
    torch.Tensor.dim,
    torch.Tensor.numel,
    torch.Tensor.is_floating_point,
    torch.Tensor.__len__,
]

_ANSWERED: dict[Any, Callable] = {func: _plainly(func) for func in _METADATA}
_ANSWERED[torch.Tensor.is_leaf.__get__] = lambda tensor: not tensor.requires_grad  # type: ignore[attr-defined]


def _product(left: Tensor | None, right: Tensor | None) -> Tensor | None:
    if left is None or right is None:
        return left if right is None else right
    return left * right


def _refuse_gradient(gradient: Tensor) -> None:
    raise RuntimeError(
        "A gradient reached a local sample itself instead of the law it is drawn from: an "
        "operation outside torch's dispatch (a custom autograd.Function) took it as it stands. "
        "Pass an ordinary sample, `w.clone()`, or use Local(law, shared=True)."
    )
