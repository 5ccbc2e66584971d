r"""Local samples in `torch.einsum`, where it is linear in one weight."""

__all__: list[str] = []

from typing import Any

import torch
from torch import Size, Tensor

from pyro_sparse.local.deferred import Deferred, as_activation, handles
from pyro_sparse.local.slots import Operation, apply_locally


@handles(torch.einsum)
def _einsum(equation: Any, *operands: Any) -> Tensor:
    given = list(operands[0] if len(operands) == 1 else operands)
    if len(given) < 2 or not isinstance(equation, str):
        return NotImplemented

    weights = [i for i, x in enumerate(given) if isinstance(x, Deferred) and x.is_weight]
    if len(weights) != 1 or not _adds_each_once(equation, weights[0], given):
        return NotImplemented

    (place,) = weights
    others = [as_activation(x) for i, x in enumerate(given) if i != place]
    squares = [x.square() for x in others]

    def total(activations: list[Tensor], weight: Tensor) -> Tensor:
        return torch.einsum(equation, *activations[:place], weight, *activations[place:])

    operation = Operation(
        lambda _, mean, bias: total(others, mean),
        in_dim=None,
        out_dim=None,
        spread=lambda _, variance, bias: total(squares, variance),
    )
    return apply_locally(operation, others[0], given[place], None)


def _adds_each_once(equation: str, place: int, operands: list[Tensor]) -> bool:
    """Whether no output adds the same entry of the weight twice, which its variance would miss."""
    terms, arrow, output = equation.replace(" ", "").partition("->")
    letters = terms.split(",")
    weight = letters.pop(place)
    others = "".join(letters)

    if not arrow or "." in weight or len(set(weight)) < len(weight):
        return False
    if "." in others and "." not in output:
        return False

    sizes = dict(zip(weight, operands[place].shape, strict=True))
    shapes = [operand.shape for i, operand in enumerate(operands) if i != place]
    met = [
        pair for term, shape in zip(letters, shapes, strict=True) for pair in _pairs(term, shape)
    ]
    whole = all(sizes.get(letter, size) == size for letter, size in met)
    return whole and set(others) - {"."} - set(output) <= set(weight)


def _pairs(term: str, shape: Size) -> list[tuple[str, int]]:
    """The letters of an operand and the sizes they stand for, those under dots left out."""
    before, _, after = term.partition("...")
    end = len(shape) - len(after)
    return [*zip(before, shape, strict=False), *zip(after, shape[end:], strict=True)]
