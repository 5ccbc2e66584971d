r"""One evaluation of a bound: what is evaluated, on what, and when two of them are alike."""

__all__ = ["Call"]

import functools
import numbers
import types
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from pyro_sparse.effects import active_handlers
from pyro_sparse.infer.places import SCALARS
from pyro_sparse.infer.surroundings import kind

_PLAIN = types.NoneType, numbers.Number, *SCALARS


class Call:
    r"""One evaluation of a bound.

    Args:
        weight: The factor of the divergences.
        model: The model.
        guide: The guide.
        args: Arguments of both.
        kwargs: Keyword arguments of both.
    """

    def __init__(
        self, weight: Tensor, model: Callable, guide: Callable, args: tuple, kwargs: dict[str, Any]
    ) -> None:
        self.weight = weight
        self.model = model
        self.guide = guide
        self.leaves, self.structure = tree_flatten((args, kwargs))
        self.handlers = active_handlers()

    @property
    def tensors(self) -> list[Tensor]:
        r"""The tensors among the arguments."""

        return [leaf for leaf in self.leaves if isinstance(leaf, Tensor)]

    @property
    def opaque(self) -> type | None:
        r"""The type of an argument that is neither tensor, number nor text, None without one."""

        known = Tensor, *_PLAIN
        return next((type(leaf) for leaf in self.leaves if not isinstance(leaf, known)), None)

    def with_tensors(self, tensors: Sequence[Tensor]) -> tuple[tuple, dict[str, Any]]:
        r"""The arguments with other tensors in the places of theirs.

        Args:
            tensors: As many as there are.
        """

        given = iter(tensors)
        leaves = [next(given) if isinstance(leaf, Tensor) else leaf for leaf in self.leaves]
        return tree_unflatten(leaves, self.structure)

    def aliases(self) -> list[Tensor]:
        r"""The weight and the tensors as objects of their own, in which each plays one part.

        A tensor that is an argument and is kept by the model too may be another one next time; a
        graph must take it as two.
        """

        given = [self.weight, *self.tensors]
        alias = {id(t): t.detach().requires_grad_(t.requires_grad) for t in given}
        return [alias[id(tensor)] for tensor in given]

    def key(self, extra: Any) -> tuple:
        r"""What is equal for calls that one graph may serve, as long as it is kept.

        Args:
            extra: More that must be equal.
        """

        leaves = [kind(x) if isinstance(x, Tensor) else (type(x), x) for x in self.leaves]
        places: dict[int, int] = {}
        same = [places.setdefault(id(tensor), len(places)) for tensor in self.tensors]
        autocast = [
            torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
            for device in ("cpu", "cuda")
        ]
        modes = torch.is_grad_enabled(), torch.get_default_dtype(), *autocast
        handlers = [
            (type(h), *((name, _identity(value)) for name, value in vars(h).items()))
            for h in self.handlers
        ]
        looks = self.structure, (*leaves, *same), kind(self.weight), modes, (*handlers,), extra
        return _identity(self.model), _identity(self.guide), looks


def _identity(value: Any) -> Any:
    """Equal for what is the same; a bound method or a partial is a new object each time."""
    if isinstance(value, _PLAIN):
        return type(value), value
    if isinstance(value, types.MethodType):
        return types.MethodType, _identity(value.__self__), _identity(value.__func__)
    if isinstance(value, functools.partial):
        keywords = [(name, _identity(held)) for name, held in sorted(value.keywords.items())]
        held = [_identity(part) for part in (value.func, *value.args)]
        return type(value), (*held, *keywords)
    return id(value)
