r"""What a value holds: the places, one step away, from which a program's numbers may come."""

__all__ = ["SCALARS", "Box", "Place", "Some", "inside", "is_followed", "is_own"]

import enum
import functools
import sys
import types
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from typing import Any, NamedTuple

import torch
from pyro.nn import PyroSample
from pyro.poutine.messenger import Messenger
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.optim import Optimizer

SCALARS = bool, int, float, complex, str, bytes, torch.Size, torch.dtype, torch.device, enum.Enum

# What a value is made of, where that is in no container.
_PARTS: dict[type, tuple[str, ...]] = {
    types.MethodType: ("__self__", "__func__"),
    types.FunctionType: ("__defaults__", "__kwdefaults__"),
    functools.partial: ("func", "args", "keywords"),
    functools.partialmethod: ("func", "args", "keywords"),
    functools.cached_property: ("func",),
    type(functools.lru_cache(len)): ("__wrapped__",),
    property: ("fget", "fset", "fdel"),
    staticmethod: ("__func__",),
    classmethod: ("__func__",),
}
_CONTAINERS = Mapping, list, tuple, deque, Set, bytearray
_ENTERED = nn.Module, Optimizer, Distribution, Messenger, PyroSample, *_CONTAINERS, *_PARTS

_FOREIGN = {"torch", "pyro", "pyro_sparse", *sys.stdlib_module_names} - {"__main__"}
_PLAIN = "types", "argparse"  # namespaces of the standard library that hold a user's values
_WITHOUT_NUMBERS = {
    "_non_persistent_buffers_set",
    *(name for name in vars(nn.Module()) if "state_dict" in name),
    *(name for name in vars(nn.Module()) if name.endswith(("_with_kwargs", "_always_called"))),
}


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


class Box(NamedTuple):
    r"""Places that lie together.

    Args:
        path: How one gets there.
        places: The places in it.
        live: Iterables that give all that is in it now, once or several times over in the order
            of the places; none where nothing can change.
    """

    path: str
    places: Sequence[Place]
    live: Sequence[Iterable[Any]] = ()


class Some:
    r"""Some values of a dictionary, as they are now.

    Args:
        values: The dictionary.
        names: Its keys that count.
    """

    def __init__(self, values: dict[str, Any], names: Sequence[str]) -> None:
        self.values = values
        self.names = names

    def __iter__(self) -> Iterator[Any]:
        return map(self.values.get, self.names)


class _Cells:
    """A closure's variables, readable like a list."""

    def __init__(self, cells: Sequence[types.CellType]) -> None:
        self.cells = cells

    def __getitem__(self, index: int) -> Any:
        try:
            return self.cells[index].cell_contents
        except ValueError:  # empty
            return None

    def __iter__(self) -> Iterator[Any]:
        return map(self.__getitem__, range(len(self.cells)))


class _Slots:
    """Attributes that are in no dictionary, readable as if they were."""

    def __init__(self, owner: Any, names: Sequence[str]) -> None:
        self.owner = owner
        self.names = names

    def __getitem__(self, name: str) -> Any:
        return getattr(self.owner, name, None)

    def __iter__(self) -> Iterator[Any]:
        return map(self.__getitem__, self.names)


class _Content:
    """What is in an array, as one value that stays the same object while it is the same."""

    def __init__(self, array: Any) -> None:
        self.array = array
        self.known = self._read()

    def _read(self) -> bytes:
        head = (str(getattr(self.array, name, None)).encode() for name in ("dtype", "shape"))
        body = bytes(self.array) if isinstance(self.array, bytearray) else self.array.tobytes()
        return b" ".join((*head, body))

    def __iter__(self) -> Iterator[bytes]:
        now = self._read()
        self.known = self.known if now == self.known else now
        return iter((self.known,))


def inside(path: str, value: Any) -> Iterator[Box]:
    r"""What a value holds, in as many boxes as it has ways of holding something.

    Args:
        path: How one gets to the value.
        value: Anything that is followed; a module of Python's is not opened here.
    """

    if isinstance(value, type):
        yield from (_class_box(base) for base in value.__mro__ if is_own(base.__module__))
        return
    if isinstance(value, types.ModuleType):
        return

    yield from _contained(path, value)
    if isinstance(value, tuple(_PARTS)):
        names = next(names for kind, names in _PARTS.items() if isinstance(value, kind))
        parts = [getattr(value, name, None) for name in names]
        yield Box(path, [Place(parts, index, path) for index in range(len(parts))])
    if isinstance(value, types.FunctionType) and value.__closure__:
        cells, free = _Cells(value.__closure__), value.__code__.co_freevars
        yield Box(path, [Place(cells, i, f"{path}.{n}") for i, n in enumerate(free)], [cells])
    yield from _attributes(path, value)


def _contained(path: str, value: Any) -> Iterator[Box]:
    if isinstance(value, Mapping):
        places = [Place(value, key, _entry(path, key)) for key in value]
        names = () if _is_of_module(path) else (value,)
        yield Box(path, places, (*names, value.values()))
    elif isinstance(value, (list, tuple, deque)):
        places = [Place(value, index, f"{path}[{index}]") for index in range(len(value))]
        yield Box(path, places, () if isinstance(value, tuple) else [value])
    elif isinstance(value, Set):
        elements = list(value)
        places = [Place(elements, index, path) for index in range(len(elements))]
        yield Box(path, places, [value])
    elif isinstance(value, bytearray) or _is_array(value):
        yield Box(path, [], [_Content(value)])


def _attributes(path: str, value: Any) -> Iterator[Box]:
    if is_own(type(value).__module__):
        yield Box(path, [Place((type(value),), 0, path)])
        slots = [name for base in type(value).__mro__ for name in _slots(base)]
        if slots:
            held = _Slots(value, slots)
            yield Box(path, [Place(held, name, f"{path}.{name}") for name in slots], [held])

    own = getattr(value, "__dict__", None)
    if isinstance(value, Optimizer):
        names = "param_groups", "state"
        places = [Place(own, name, f"{path}.{name}") for name in names]
        yield Box(path, places, [Some(vars(value), names)])
    elif isinstance(own, dict) and (own or not isinstance(value, types.FunctionType)):
        yield _box(path, own, _WITHOUT_NUMBERS if isinstance(value, nn.Module) else ())


def _class_box(base: type) -> Box:
    own: Any = vars(base)
    code = types.FunctionType, property, staticmethod, classmethod
    data = {n for n, value in own.items() if n.startswith("__") and not isinstance(value, code)}
    return _box(base.__qualname__, own, data)


def _box(path: str, own: Mapping[str, Any], closed: Collection[str]) -> Box:
    """All attributes, of which some are not looked into."""
    places = [Place({} if name in closed else own, name, f"{path}.{name}") for name in own]
    return Box(path, places, [own.values()])


def _slots(base: type) -> list[str]:
    return [n for n, v in vars(base).items() if isinstance(v, types.MemberDescriptorType)]


def _is_of_module(path: str) -> bool:
    return path.rpartition(".")[2] in ("_parameters", "_buffers", "_modules")


def _entry(path: str, key: Any) -> str:
    if _is_of_module(path):
        return f"{path.rpartition('.')[0]}.{key}"
    return f"{path}[{f'a tensor {tuple(key.shape)}' if isinstance(key, Tensor) else repr(key)}]"


def _is_array(value: Any) -> bool:
    return type(value).__module__ == "numpy" and type(value).__name__ == "ndarray"


def is_followed(value: Any) -> bool:
    r"""Whether a value may hold something that matters.

    Args:
        value: Anything.
    """

    if value is None or isinstance(value, (Tensor, types.BuiltinFunctionType, *SCALARS)):
        return False
    if isinstance(value, type):
        return is_own(value.__module__)
    if isinstance(value, types.ModuleType):
        return is_own(value.__name__)
    if isinstance(value, types.FunctionType):
        return (value.__module__ or "").partition(".")[0] not in _FOREIGN
    if isinstance(value, _ENTERED) or _is_array(value):
        return True
    package = (type(value).__module__ or "").partition(".")[0]
    return package not in _FOREIGN or package in _PLAIN


@functools.cache
def is_own(module: str | None) -> bool:
    r"""Whether a module is a user's own code, and not an installed package's.

    Args:
        module: Its name.
    """

    if (module or "").partition(".")[0] in _FOREIGN:
        return False
    file = getattr(sys.modules.get(module or ""), "__file__", None) or ""
    return not any(folder in file for folder in ("site-packages", "dist-packages"))
