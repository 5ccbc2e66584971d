r"""Ready-made answers to the question which layers `bayesianize` converts."""

__all__ = ["Selector", "all_but", "by_name", "by_type", "convolutions", "layers"]

import re
from collections.abc import Callable
from fnmatch import fnmatchcase

from torch import nn
from torch.nn.modules.conv import _ConvNd

from pyro_sparse.nn.layout import is_plain
from pyro_sparse.nn.torch_attention import PROJECTIONS, is_convertible

Select = Callable[[str, nn.Module], bool]


class Selector:
    r"""A choice of modules that combines with others by `&` (both), `|` (either) and `~` (not).

    Args:
        function: Whether the module of a name is chosen, as a function of (name, module).

    Example:
        >>> choice = convolutions & ~by_name("stem*")
        >>> choice("stem", nn.Conv2d(1, 1, 3)), choice("layer1.conv", nn.Conv2d(1, 1, 3))
        (False, True)
    """

    def __init__(self, function: Select) -> None:
        self.function = function

    def __call__(self, name: str, module: nn.Module) -> bool:
        return self.function(name, module)

    def __and__(self, other: Select) -> "Selector":
        return Selector(lambda name, module: self(name, module) and other(name, module))

    def __or__(self, other: Select) -> "Selector":
        return Selector(lambda name, module: self(name, module) or other(name, module))

    def __invert__(self) -> "Selector":
        return Selector(lambda name, module: not self(name, module))


layers = Selector(lambda name, module: is_plain(module))
r"""Everything that can be converted; what `bayesianize` selects by itself."""

convolutions = Selector(lambda name, module: isinstance(module, _ConvNd))
r"""Convolutions and transposed convolutions of any dimension."""


def by_name(*patterns: str | re.Pattern[str]) -> Selector:
    r"""Modules whose path matches one of the patterns.

    A wide pattern may name modules that cannot be converted, which `bayesianize` refuses to
    leave out silently: `by_name("encoder.*") & layers` says that they may be.

    Args:
        *patterns: Wildcards as in file names ("layer4.*", "*.fc?"), or compiled regular
            expressions, which match the whole path.

    Example:
        >>> by_name("layer4.*", re.compile(r"fc\d+"))("fc12", nn.Linear(1, 1))
        True
    """

    if not patterns:
        raise ValueError("by_name needs a pattern, such as 'layer4.*', and got none.")

    def chosen(name: str, module: nn.Module) -> bool:
        return any(
            fnmatchcase(name, p) if isinstance(p, str) else p.fullmatch(name) is not None
            for p in patterns
        )

    return Selector(chosen)


def by_type(*types: type[nn.Module]) -> Selector:
    r"""Modules of these classes or of classes derived from them.

    Args:
        *types: Classes of modules.
    """

    if not types:
        raise ValueError("by_type needs a class of modules, such as nn.Linear, and got none.")

    return Selector(lambda name, module: isinstance(module, types))


def all_but(net: nn.Module, *, first: int = 0, last: int = 0) -> Selector:
    r"""All layers of a network but some of the first and last ones.

    First and last layers are often left alone: they hold few of the weights, and what they see
    or say is given.

    Args:
        net: The network. Its layers count in the order in which it lists its modules.
        first: How many of the first layers stay as they are.
        last: How many of the last ones.

    Raises:
        ValueError: No layer would be left.

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> choice = all_but(net, last=1)
        >>> [name for name, module in net.named_modules() if choice(name, module)]
        ['0']
    """

    names = [name for module in net.named_modules() for name in _layers_in(*module)]
    chosen = set(names[first : len(names) - last])
    if not chosen or min(first, last) < 0:
        raise ValueError(
            f"all_but leaves some of the {len(names)} layers of {type(net).__name__}, and nothing "
            f"is left with first={first}, last={last}."
        )

    return Selector(lambda name, module: name in chosen)


def _layers_in(name: str, module: nn.Module) -> list[str]:
    """A layer's own path; of attention those that its projections will have."""
    if is_convertible(module):
        return [f"{name}.{part}" if name else part for part in PROJECTIONS]
    return [name] if layers(name, module) else []
