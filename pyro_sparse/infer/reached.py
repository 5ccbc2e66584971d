r"""What can be reached from a value: the places from which a program's numbers may come.

Attributes, containers and closures are followed wherever they lead; classes, properties, globals
and the attributes of modules where they belong to a user's own code. A variable of a module
counts if code that was reached mentions its name. What an installed package holds in its classes
and globals is taken to stay as it is.
"""

__all__ = ["reached"]

import dis
import functools
import sys
import types
from collections import deque
from typing import Any, NamedTuple

from pyro_sparse.infer.places import Box, Place, Some, inside, is_followed, is_own


def reached(*programs: Any) -> list[Box]:
    r"""Everything that can be reached from some programs.

    Args:
        *programs: Modules, functions, or whatever else is run.
    """

    places = [Place(programs, i, type(program).__name__) for i, program in enumerate(programs)]
    return _Walk().run(Box("", places))


class _Walk:
    """Opens boxes, nearest first, until none is left."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._pending: deque[Box] = deque()
        self._variables: dict[int, _Variables] = {}
        self._attributes: set[str] = set()

    def run(self, first: Box) -> list[Box]:
        boxes, self._pending = [], deque([first])
        while self._pending:
            box = self._pending.popleft()
            boxes.append(box)
            for place in box.places:
                self._enter(place.path, place.read())
            if not self._pending:
                self._pending.extend(self._mentioned())
        return boxes

    def _enter(self, path: str, value: Any) -> None:
        if id(value) in self._seen or not is_followed(value):
            return
        self._seen.add(id(value))

        if isinstance(value, types.ModuleType):
            self._variables_of(vars(value)).of_module = True
        elif isinstance(value, types.FunctionType):
            names = _names(value.__code__)
            self._attributes |= names.attributes
            if is_own(value.__globals__.get("__name__")):
                self._variables_of(value.__globals__).names |= names.variables
        self._pending.extend(inside(path, value))

    def _mentioned(self) -> list[Box]:
        """Variables of modules whose names were mentioned since this was asked last."""
        for name in self._attributes & sys.modules.keys():  # imported inside a function
            self._enter(name, sys.modules[name])
        boxes = (v.opened(self._attributes) for v in list(self._variables.values()))
        return [box for box in boxes if box.places]

    def _variables_of(self, values: dict[str, Any]) -> "_Variables":
        return self._variables.setdefault(id(values), _Variables(values))


class _Variables:
    """A module's variables, of which those count that are mentioned."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values
        self.names: set[str] = set()
        self.of_module = False
        self._open: set[str] = set()

    def opened(self, attributes: set[str]) -> Box:
        """Those that are not open yet."""
        names = self.names | attributes if self.of_module else self.names
        new = sorted((names & self.values.keys()) - self._open)
        self._open.update(new)
        path = str(self.values.get("__name__"))
        places = [Place(self.values, name, f"{path}.{name}") for name in new]
        return Box(path, places, [Some(self.values, new)])


class _Names(NamedTuple):
    variables: frozenset[str]
    attributes: frozenset[str]


@functools.lru_cache(maxsize=4096)
def _names(code: types.CodeType) -> _Names:
    """What some code, and code inside it, calls by name: globals, and anything at all."""
    loads = "LOAD_GLOBAL", "LOAD_NAME"
    variables = {step.argval for step in dis.get_instructions(code) if step.opname in loads}
    inner = [_names(const) for const in code.co_consts if isinstance(const, types.CodeType)]
    return _Names(
        frozenset(variables).union(*(names.variables for names in inner)),
        frozenset(code.co_names).union(*(names.attributes for names in inner)),
    )
