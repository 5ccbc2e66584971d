"""Optional packages: imported where they are used, missing ones named with their extra."""

__all__ = ["require"]

import importlib
from types import ModuleType


def require(name: str, extra: str = "arviz") -> ModuleType:
    """Imports an optional package, or says how to install it.

    Args:
        name: The package, for example `"matplotlib"`.
        extra: The extra of pyro-sparse that brings it.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != name.split(".")[0]:
            raise

        raise ImportError(
            f"{name} is needed here and is not installed; "
            f"install it with: pip install 'pyro-sparse[{extra}]'",
            name=name,
        ) from error
