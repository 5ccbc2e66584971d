"""How mkdocstrings reads our docstrings."""

__all__ = ["Docstrings"]

from typing import Any

import griffe

from docs.generate.docstrings import prose


class Docstrings(griffe.Extension):
    """Lets mkdocstrings read our docstrings."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrites the docstring of a class, a function or a module."""
        if obj.docstring is None or not obj.path.startswith("pyro_sparse"):
            return

        init = obj.members.get("__init__") if isinstance(obj, griffe.Class) else obj
        parameters = init.parameters if isinstance(init, griffe.Function) else ()
        own = {parameter.name for parameter in parameters} | {obj.name}
        obj.docstring.value = prose(obj.docstring.value, own)
