r"""Which entries are closed so that a network has just the size it may have."""

__all__ = ["cut"]

from collections.abc import Callable, Collection

import torch
from torch import Tensor

Chances = dict[str, Tensor]  # by site


@torch.no_grad()
def cut(
    excess: Callable[[Chances], float], chances: Chances, kept: Chances, sites: Collection[str]
) -> Chances:
    r"""Closes the entries with the least chances, as few as do.

    The last entry of a site is never closed, as nothing would get through it any more.

    Args:
        excess: How much too large the network is, which falls as entries are closed.
        chances: Chances that entries are kept, by site.
        kept: What is kept now, as zeros and ones.
        sites: The sites whose entries may be closed.

    Returns:
        What is kept then, as zeros and ones.
    """

    if excess(kept) <= 0:
        return kept

    names = sorted(sites)
    order = torch.cat([_ranked(chances[name], kept[name]) for name in names]).argsort()
    fewest, most = 0, sum(max(int(kept[name].sum()) - 1, 0) for name in names)
    while fewest < most:
        half = (fewest + most) // 2
        if excess(_without(kept, names, order[:half])) <= 0:
            most = half
        else:
            fewest = half + 1
    return _without(kept, names, order[:most])


def _ranked(chance: Tensor, kept: Tensor) -> Tensor:
    """Chances of what may be closed; others come last."""
    ranked = torch.where(kept > 0, chance, torch.inf).flatten()
    best = torch.where(kept > 0, chance, -1.0).flatten().argmax()
    return ranked.index_fill(0, best, torch.inf)


def _without(kept: Chances, names: list[str], closed: Tensor) -> Chances:
    flat = torch.cat([kept[name].flatten() for name in names]).index_fill(0, closed, 0)
    parts = flat.split([kept[name].numel() for name in names])
    changed = {n: part.view_as(kept[n]) for n, part in zip(names, parts, strict=True)}
    return {**kept, **changed}
