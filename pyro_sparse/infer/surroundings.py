r"""Everything a program's numbers come from beside its arguments, found by looking around it.

A compiled graph holds what it was traced with. It may be used again only while nothing around
the program has changed, or what has changed is an input of the graph. `Surroundings` lists what
can be reached from a program (attributes, containers, closures, the globals its functions name),
and says later whether it is still the same.
"""

__all__ = ["Place", "Surroundings", "kind"]

import functools
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.optim import Optimizer

_SCALARS = (bool, int, float, complex, str, bytes, torch.Size, torch.dtype, torch.device)
_ENTERED = nn.Module, Optimizer, Distribution, Mapping, list, tuple, functools.partial
_FOREIGN = ("torch", "pyro", "pyro_sparse", "builtins", "numpy", "functools", "typing", "weakref")


class Place(NamedTuple):
    r"""Where a value is kept: `holder[key]`, and how one gets there."""

    holder: Any
    key: Any
    path: str

    def read(self) -> Any:
        r"""The value that is there now; None where there is no such place any more."""

        try:
            return self.holder[self.key]
        except (KeyError, IndexError):
            return None


class _Cell:
    """A closure's variable, readable like an entry."""

    def __init__(self, cell: types.CellType) -> None:
        self.cell = cell

    def __getitem__(self, key: int) -> Any:
        try:
            return self.cell.cell_contents
        except ValueError as error:
            raise KeyError(key) from error


class Surroundings:
    r"""What can be reached from a program, as it was when this was made.

    Args:
        *programs: Modules or functions.
    """

    def __init__(self, *programs: Any) -> None:
        self.tensors: list[tuple[Place, Tensor]] = []
        self._scalars: list[tuple[Place, Any]] = []
        self._objects: list[tuple[Place, Any]] = []
        self._sizes: list[tuple[Any, int, str]] = []
        self._inputs: set[int] = set()
        self._seen: set[int] = set()
        for index, program in enumerate(programs):
            self._visit(Place(programs, index, type(program).__name__), program)
        del self._seen

    def place_of(self, tensor: Tensor) -> Place | None:
        r"""Where a tensor is kept, None if it is not around the program."""

        return next((place for place, known in self.tensors if known is tensor), None)

    def release(self, tensors: Sequence[Tensor]) -> None:
        r"""Lets these tensors be replaced by others of the same kind: they are read anew."""

        self._inputs = {id(tensor) for tensor in tensors}

    def change(self) -> str | None:
        r"""The path of something that is not what it was, None if all is as it was."""

        # This runs before each step: plain loops over tuples, and no calls where nothing changed.
        path = ""
        try:
            for (holder, key, path), value in self._scalars:
                now = holder[key]
                if now is not value and (type(now) is not type(value) or now != value):
                    return path
            for (holder, key, path), tensor in self.tensors:
                now = holder[key]
                if now is not tensor and not (id(tensor) in self._inputs and _alike(now, tensor)):
                    return path
            for (holder, key, path), value in self._objects:
                if holder[key] is not value:
                    return path
        except (KeyError, IndexError):
            return path
        return next((path for box, size, path in self._sizes if len(box) != size), None)

    def _visit(self, place: Place, value: Any) -> None:
        if isinstance(value, Tensor):
            self.tensors.append((place, value))
        elif value is None or isinstance(value, _SCALARS):
            self._scalars.append((place, value))
        elif not _is_foreign(value):
            self._objects.append((place, value))
            self._enter(place.path, value)

    def _enter(self, path: str, value: Any) -> None:
        if id(value) in self._seen:
            return
        self._seen.add(id(value))

        if isinstance(value, (dict, list, tuple)):
            self._sizes.append((value, len(value), path))
        for inner in _inside(path, value):
            self._visit(inner, inner.read())


def _inside(path: str, value: Any) -> Iterator[Place]:
    if isinstance(value, Mapping):
        yield from (Place(value, key, f"{path}[{_name(key)}]") for key in list(value))
    elif isinstance(value, (list, tuple)):
        yield from (Place(value, index, f"{path}[{index}]") for index in range(len(value)))
    elif isinstance(value, types.MethodType):
        yield from (Place([x], 0, path) for x in (value.__self__, value.__func__))
    elif isinstance(value, functools.partial):
        yield from (Place([x], 0, path) for x in (value.func, value.args, value.keywords))
    elif isinstance(value, types.FunctionType):
        yield from _around_function(path, value)
    elif isinstance(vars(value) if hasattr(value, "__dict__") else None, dict):
        yield from _attributes(path, value)


def _attributes(path: str, value: Any) -> Iterator[Place]:
    own = vars(value)
    for name in ("state", "param_groups") if isinstance(value, Optimizer) else list(own):
        if isinstance(value, nn.Module) and name in ("_parameters", "_buffers", "_modules"):
            inner = own[name]
            yield from (Place(inner, key, f"{path}.{key}") for key in list(inner))
        elif not (isinstance(value, nn.Module) and name.endswith("_hooks_with_kwargs")):
            yield Place(own, name, f"{path}.{name}")


def _around_function(path: str, function: types.FunctionType) -> Iterator[Place]:
    code = function.__code__
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        yield Place(_Cell(cell), 0, f"{path}.{name}")
    for name in code.co_names:
        if name in function.__globals__:
            yield Place(function.__globals__, name, name)
    yield from (Place([x], 0, path) for x in (function.__defaults__, function.__kwdefaults__))


def _name(key: Any) -> str:
    return f"a tensor {tuple(key.shape)}" if isinstance(key, Tensor) else repr(key)


def _is_foreign(value: Any) -> bool:
    if isinstance(value, (type, types.ModuleType, types.BuiltinFunctionType)):
        return True
    if isinstance(value, _ENTERED):
        return False

    owner = value if isinstance(value, (types.FunctionType, types.MethodType)) else type(value)
    package = (getattr(owner, "__module__", None) or "builtins").split(".")[0]
    return package in _FOREIGN


def _alike(left: Any, right: Tensor) -> bool:
    return isinstance(left, Tensor) and kind(left) == kind(right)


def kind(tensor: Tensor) -> tuple:
    r"""What a graph is made for: shape, strides, dtype, device, and whether it is trained."""

    return tensor.shape, tensor.stride(), tensor.dtype, tensor.device, tensor.requires_grad
