r"""Which entries are closed so that a network has just the size it may have."""

__all__ = ["cut", "refill"]

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
        if excess(_filled(kept, names, order[:half], 0)) <= 0:
            most = half
        else:
            fewest = half + 1
    return _filled(kept, names, order[:most], 0)


@torch.no_grad()
def refill(
    excess: Callable[[Chances], float], chances: Chances, kept: Chances, sites: Collection[str]
) -> Chances:
    r"""Opens closed entries with the greatest chances, as many as fit.

    Where the next one is too large for the rest, smaller ones of single sites may still fit.

    Args:
        excess: How much too large the network is, which rises as entries are opened.
        chances: Chances that entries are kept, by site.
        kept: What is kept now, as zeros and ones.
        sites: The sites whose entries may be opened.

    Returns:
        What is kept then, as zeros and ones.
    """

    for names in (sorted(sites), *([name] for name in sorted(sites))):
        closed = torch.cat([kept[name].flatten() == 0 for name in names])
        order = torch.cat([chances[name].flatten() for name in names])
        order = order.masked_fill(~closed, -torch.inf).argsort(descending=True)

        fitting, most = 0, int(closed.sum())
        while fitting < most:
            half = (fitting + most + 1) // 2
            if excess(_filled(kept, names, order[:half], 1)) <= 0:
                fitting = half
            else:
                most = half - 1
        kept = _filled(kept, names, order[:fitting], 1)
    return kept


def _ranked(chance: Tensor, kept: Tensor) -> Tensor:
    """Chances of what may be closed; others come last."""
    ranked = torch.where(kept > 0, chance, torch.inf).flatten()
    best = torch.where(kept > 0, chance, -1.0).flatten().argmax()
    return ranked.index_fill(0, best, torch.inf)


def _filled(kept: Chances, names: list[str], entries: Tensor, value: int) -> Chances:
    flat = torch.cat([kept[name].flatten() for name in names]).index_fill(0, entries, value)
    parts = flat.split([kept[name].numel() for name in names])
    changed = {n: part.view_as(kept[n]) for n, part in zip(names, parts, strict=True)}
    return {**kept, **changed}
