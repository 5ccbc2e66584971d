r"""What a budget allows, what it is about, and what can be closed for it."""

__all__ = ["Limits", "limits", "meant"]

import math
from dataclasses import dataclass
from numbers import Real

import torch
from torch import Tensor

from pyro_sparse.infer.sizes import Chances, Sizes


@dataclass(frozen=True)
class Limits:
    r"""The constraints of a budget.

    Args:
        layers: The layers that each constraint is about; empty for all together.
        allowed: What each constraint allows.
        sites: The sites that are closed for each constraint.
        own: Whether no other constraint closes these.
    """

    layers: list[int]
    allowed: Tensor
    sites: list[list[str]]
    own: list[bool]


def limits(sizes: Sizes, limit: float, per_layer: bool) -> Limits:
    r"""The constraints on a network.

    Layers that share units depend on each other: a gate at the input of one also narrows the one
    before it. So each layer is made smaller by its own gates and weights; if it has none, by the
    gates that belong to no layer with a size, such as those of norms, or by all that matter to it.

    Args:
        sizes: The size of the network.
        limit: A share up to 1, or a number.
        per_layer: Whether there is a constraint for each layer.

    Raises:
        ValueError: They cannot be met.
    """

    kept = sizes.kept()
    dense, least = sizes.dense, sizes({site: _one(k) for site, k in kept.items()})
    if not kept or bool((least == dense).all()):
        raise ValueError(
            "Nothing in this posterior can be closed. Give the network gates, "
            "bayesianize(net, gate=L0(0.0)), or weights a prior that drops some, LogUniform()."
        )

    if not per_layer:
        allowed = dense.sum() * limit if limit <= 1 else torch.full_like(dense.sum(), limit)
        _require_reachable("the network", least.sum(), allowed, dense.sum(), sizes.kind)
        return Limits([], allowed.unsqueeze(0), [list(kept)], [True])

    layers = [index for index, size in enumerate(least) if size < dense[index]]
    for index in layers:
        name = f"layer '{sizes.names[index]}'"
        _require_reachable(name, least[index], dense[index] * limit, dense[index], sizes.kind)
    return Limits(layers, dense[layers] * limit, *_handles(sizes, kept, layers))


def _handles(sizes: Sizes, kept: Chances, layers: list[int]) -> tuple[list[list[str]], list[bool]]:
    """The sites to close for each layer, and whether they are its own."""
    own = [[s for s in sizes.sites_of(sizes.names[index]) if s in kept] for index in layers]
    taken = {site for sites in own for site in sites}
    matters: dict[str, Tensor] = {}
    for site in kept:
        everything = {s: torch.ones_like(k) for s, k in kept.items()}
        matters[site] = sizes({**everything, site: _one(kept[site])}) < sizes.dense

    handles = []
    for index, sites in zip(layers, own, strict=True):
        all_that = [site for site in kept if bool(matters[site][index])]
        others = [site for site in all_that if site not in taken]
        handles.append(sites or others or all_that or list(kept))
    return handles, [bool(sites) for sites in own]


def meant(weights: float | None, macs: float | None, sparsity: float | None) -> tuple[str, float]:
    r"""What is counted, and how much of it may be left.

    Args:
        weights: As in `Budget`.
        macs: As in `Budget`.
        sparsity: As in `Budget`.

    Raises:
        ValueError: Not exactly one is given, or it is out of range.
        TypeError: It is no number.
    """

    given = {"weights": weights, "macs": macs, "sparsity": sparsity}
    named = {name: value for name, value in given.items() if value is not None}
    if len(named) != 1:
        raise ValueError(
            "A budget is one of weights, macs and sparsity, such as Budget(weights=0.05), got "
            f"{named or 'none'}."
        )

    ((name, value),) = named.items()
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name} is a share, such as 0.05, or a number of them, got {value!r}.")
    if name == "sparsity" and not 0 <= value < 1:
        raise ValueError(f"sparsity is a share of at least 0 and below 1, got {value!r}.")
    if not 0 < value < math.inf and name != "sparsity":
        raise ValueError(f"{name} is a share or a number, positive and finite, got {value!r}.")
    return ("weights", 1 - float(value)) if name == "sparsity" else (name, float(value))


def _one(kept: Tensor) -> Tensor:
    """A single entry."""
    return torch.zeros_like(kept).flatten().index_fill(0, kept.argmax(), 1).view_as(kept)


def _require_reachable(
    what: str, least: Tensor, allowed: Tensor, dense: Tensor, kind: str
) -> None:
    if least > allowed:
        raise ValueError(
            f"A budget of {allowed.item():,.0f} {kind} cannot be reached: with one unit left "
            f"behind each gate, {what} has {least.item():,.0f} of {dense.item():,.0f} {kind}, "
            f"{100 * (least / dense).item():.2g}%. Allow that much, or gate more layers."
        )
