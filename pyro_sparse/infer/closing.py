r"""Closing entries of a posterior, and opening them again, by their parameters."""

__all__ = ["close", "reopen"]

import math

import torch
from torch import Tensor, nn

from pyro_sparse.guides import (
    Family,
    LawFamily,
    LogNormalFamily,
    NormalFamily,
    PointFamily,
    TruncatedLogNormalFamily,
)

CLOSED = -10.0  # a location at which each gate law is 0 but for a chance of about 1e-4


@torch.no_grad()
def close(family: nn.Module, closed: Tensor) -> None:
    r"""Sets entries of a posterior family to where the criterion "auto" drops them.

    Families of the user's own are closed as far as their parameters are locations of gates.

    Args:
        family: The family of a site.
        closed: True where an entry is closed, of the site's shape.
    """

    for parameter, value in _ends(family):
        if parameter.shape == closed.shape:
            parameter.masked_fill_(closed, value)


@torch.no_grad()
def reopen(family: nn.Module, opened: Tensor, like: Tensor) -> None:
    r"""Makes entries as sure to be kept as another one.

    A weight keeps its mean, and gets the noise that goes with it.

    Args:
        family: The family of a site.
        opened: True where an entry is opened, of the site's shape.
        like: The position of the other entry in the flattened site.
    """

    if isinstance(family, NormalFamily) and family.role == "weight":
        log_alpha = family.log_variance - _log_square(family.loc)
        noise = _log_square(family.loc) + log_alpha.flatten()[like]
        family.log_variance.copy_(torch.where(opened, noise, family.log_variance))
        return

    for parameter in family.parameters():
        if parameter.shape == opened.shape:
            parameter.masked_fill_(opened, parameter.flatten()[like].clone())


def _log_square(values: Tensor) -> Tensor:
    return (values.square() + torch.finfo(values.dtype).tiny).log()


def _ends(family: nn.Module) -> list[tuple[Tensor, float]]:
    if isinstance(family, NormalFamily):
        return [(family.loc, 0.0)]
    if isinstance(family, PointFamily):
        return [(family.value, 0.0)]
    if isinstance(family, LogNormalFamily):
        return [(family.log_variance, 0.0)]
    if isinstance(family, TruncatedLogNormalFamily):
        # Nearly even over the whole interval: more noise than signal.
        wide = 2 * math.log(family.high - family.low)
        return [(family.loc, family.low), (family.log_variance, wide)]
    if isinstance(family, LawFamily | Family):
        named = family.named_parameters(recurse=False)
        return [(p, CLOSED) for name, p in named if name.endswith(("logits", "loc"))]
    return []
