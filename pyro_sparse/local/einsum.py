r"""Local samples in `torch.einsum`, where it is linear in one weight."""

__all__: list[str] = []

from typing import Any

import torch
from torch import Size, Tensor

from pyro_sparse.local.deferred import Deferred, as_activation, as_number, as_weight, handles
from pyro_sparse.local.slots import Operation, apply_locally


@handles(torch.einsum)
def _einsum(equation: Any, *operands: Any) -> Tensor:
    given = list(operands[0] if isinstance(operands[0], list | tuple) else operands)
    if len(given) < 2 or not isinstance(equation, str):
        return NotImplemented

    weights = [i for i, x in enumerate(given) if isinstance(x, Deferred) and x.is_weight]
    others = [x if i in weights else _drawn(equation, i, x) for i, x in enumerate(given)]
    if len(weights) != 1 or not _adds_each_once(equation, weights[0], given):
        return torch.einsum(equation, *map(_number, others))

    weight = others.pop(place := weights[0])
    squares = [x.square() for x in others]

    def total(activations: list[Tensor], weight: Tensor) -> Tensor:
        return torch.einsum(equation, *activations[:place], weight, *activations[place:])

    operation = Operation(
        lambda _, mean, bias: total(others, mean),
        in_dim=None,
        out_dim=None,
        spread=lambda _, variance, bias: total(squares, variance),
    )
    return apply_locally(operation, others[0], weight, None)


def _number(operand: Tensor) -> Tensor:
    return as_number(operand) if isinstance(operand, Deferred) else operand


def _drawn(equation: str, place: int, operand: Tensor) -> Tensor:
    """An operand's numbers: gates are drawn per example where it counts the output's examples."""
    if not isinstance(operand, Deferred):
        return operand

    terms, output = _split(equation)
    dims = 1 + max(gate.draw.batch_dim for gate in operand.gates)
    counts = terms[place][:dims] == output[:dims]
    return as_activation(operand) if counts else as_weight(operand)


def _split(equation: str) -> tuple[list[str], str]:
    """The operands' letters and those of the output, which are sorted where none are given."""
    terms, arrow, output = equation.replace(" ", "").partition("->")
    if not arrow:
        single = sorted(c for c in set(terms) - {",", "."} if terms.count(c) == 1)
        output = "".join(["..." if "." in terms else "", *single])
    return terms.split(","), output


def _adds_each_once(equation: str, place: int, operands: list[Tensor]) -> bool:
    """Whether no output adds the same entry of the weight twice, which its variance would miss."""
    letters, output = _split(equation)
    weight = letters.pop(place)
    others = "".join(letters)

    if "." in weight or len(set(weight)) < len(weight):
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
