"""Integrals over a law: its density by double exponential quadrature, its atoms by their mass."""

__all__ = ["Grid", "expectation", "grid"]

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution

from pyro_sparse.distributions.checks import require
from pyro_sparse.distributions.gate import has_atoms
from pyro_sparse.testing.support import bounds, ends

NODES = 8001


@dataclass(frozen=True)
class Grid:
    """Nodes over the support of a law, `(n, *batch)`, with what the law puts there.

    Args:
        nodes: increasing along the first dimension; atoms are nodes too.
        masses: probability carried by each node, differentiable.
        log_prob: log density, or log probability at an atom.
    """

    nodes: Tensor
    masses: Tensor
    log_prob: Tensor

    @property
    def cdf(self) -> Tensor:
        """Cumulative probability up to and with each node."""
        # Half of a node's own strip lies to its right, all of an atom's mass at it.
        strips = self.masses.cumsum(0)
        inside = (self.nodes > self.nodes[0]) & (self.nodes < self.nodes[-1])
        return torch.where(inside, strips - self.masses / 2, strips)


def grid(law: Distribution) -> Grid:
    """Spreads nodes over the support of an elementwise law with double precision parameters.

    The double exponential rule copes with densities that are infinite at an end of the support
    and with infinite supports; the parameters should be of order one. Nodes move with ends of
    the support that depend on parameters, so that integrals have the right gradients.

    References:
        Double Exponential Formulas for Numerical Integration (Takahasi, Mori, 1974),
        https://doi.org/10.2977/prims/1195192451

    Args:
        law: of any batch shape `(*batch)`, without event dimensions, with a support that is the
            same for the whole batch. If it has atoms they are at 0 and at 1 only, and its
            support is [0, 1]. Raises a `ValueError` for others.
    """
    if has_atoms(law):
        _require_unit_interval(law)

    nodes, weights = _rule(law)
    log_prob = law.log_prob(nodes)
    masses = weights * log_prob.exp()

    if has_atoms(law):
        places = torch.stack([torch.zeros_like(nodes[0]), torch.ones_like(nodes[0])])
        atoms = law.log_prob(places)
        nodes = torch.cat([places[:1], nodes, places[1:]])
        log_prob = torch.cat([atoms[:1], log_prob, atoms[1:]])
        masses = torch.cat([atoms[:1].exp(), masses, atoms[1:].exp()])

    return Grid(nodes, masses, log_prob)


def expectation(law: Distribution, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Expected value of a function under an elementwise law, `(*batch)`, differentiable.

    Args:
        law: as for `grid`.
        function: of values of any shape, elementwise.
    """
    points = grid(law)
    values = function(points.nodes)
    return torch.where(points.masses > 0, points.masses * values, 0.0).sum(0)


def _rule(law: Distribution) -> tuple[Tensor, Tensor]:
    """Nodes and weights, `(n, *batch)`, all of them inside the support."""
    low, high = bounds(law)
    first, last = ends(law)
    t = torch.linspace(-1, 1, NODES, dtype=torch.float64)
    t = t.reshape(-1, *(1 for _ in law.batch_shape)).expand(-1, *law.batch_shape)

    if math.isfinite(first) and math.isfinite(last):
        t = 6.0 * t
        inner = math.pi / 2 * t.sinh()
        # Measured from the nearer end, so that nodes crowd to both without rounding to them.
        from_low = (high - low) * torch.sigmoid(2 * inner)
        from_high = (high - low) * torch.sigmoid(-2 * inner)
        nodes = torch.where(t < 0, low + from_low, high - from_high)
        slope = math.pi * t.cosh() * from_low * from_high / (high - low)
    elif math.isfinite(first):
        t = 5.5 * t
        distance = torch.exp(math.pi / 2 * t.sinh())
        nodes = low + distance
        slope = math.pi / 2 * t.cosh() * distance
    else:
        t = 4.0 * t
        inner = math.pi / 2 * t.sinh()
        nodes = inner.sinh()
        slope = math.pi / 2 * t.cosh() * inner.cosh()

    # Rounded alike in all entries of the batch, which have the same ends.
    inside = ((nodes > low) & (nodes < high)).reshape(NODES, -1).all(1)
    return nodes[inside], ((t[1] - t[0]) * slope)[inside]


def _require_unit_interval(law: Distribution) -> None:
    require(
        ends(law) == (0, 1),
        ends(law),
        f"{type(law).__name__} has atoms, so it needs the support [0, 1], with atoms at 0 and 1 "
        "only, to be checked",
        "Skip the checks that integrate the density, with this reason.",
    )
