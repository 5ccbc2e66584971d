r"""The tensors a law is made of: found by looking into the law, not by calling it."""

__all__ = ["law_tensors", "with_law_tensors"]

import copy
from collections.abc import Iterator, Mapping

from torch import Tensor
from torch.distributions import Distribution


def law_tensors(law: Distribution) -> Iterator[tuple[str, Tensor]]:
    r"""Names and values of the tensors that `law` and the laws inside it hold.

    A law inside another contributes dotted names, so the location of a normal wrapped by
    `to_event` is `base_dist.loc`. Values computed lazily and not yet asked for do not appear.

    Args:
        law: Any torch distribution.
    """

    for name, value in vars(law).items():
        if isinstance(value, Tensor):
            yield name, value
        elif isinstance(value, Distribution):
            yield from ((f"{name}.{inner}", tensor) for inner, tensor in law_tensors(value))


def with_law_tensors(law: Distribution, tensors: Mapping[str, Tensor]) -> Distribution:
    r"""A copy of `law` that holds other tensors.

    Args:
        law: Any torch distribution.
        tensors: What the copy holds, by the names that `law_tensors` gives. Tensors of `law`
            that are not named (values computed lazily) are left out, to be computed anew.
    """

    new = copy.copy(law)
    for name, value in vars(law).items():
        if isinstance(value, Tensor) and name in tensors:
            vars(new)[name] = tensors[name]
        elif isinstance(value, Tensor):
            del vars(new)[name]
        elif isinstance(value, Distribution):
            inner = {
                k.removeprefix(f"{name}."): t
                for k, t in tensors.items()
                if k.startswith(f"{name}.")
            }
            vars(new)[name] = with_law_tensors(value, inner)
    return new
