"""How many multiply-adds a network will need once its gates are drawn, on average."""

__all__ = ["expected_macs"]

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pyro_sparse.distributions import Gate
from pyro_sparse.prune.criterion import resolve
from pyro_sparse.prune.mask import Posterior, posteriors
from pyro_sparse.prune.structure import Structure


def expected_macs(
    model: nn.Module,
    guide: Callable,
    example_input: Tensor | tuple[Any, ...],
    *args: Any,
    **kwargs: Any,
) -> dict[str, Tensor]:
    r"""The expected multiply-adds of each layer, differentiable in the gates' parameters.

    A product of input i and output o is computed if i arrives (the gates behind its producer and
    before this layer are open) and o is read (some consumer's gate is open). Gates count as
    independent, and a layer as alive as a whole, so that the sum over i and o factorises:

    .. math::
        E[\mathrm{MACs}] = \mathrm{positions} \cdot
        \sum_i P(i \text{ arrives}) \sum_o P(o \text{ is read})

    For a penalty or a constraint on the cost of the network. A chain of gated layers is exact up
    to the chance that a layer closes altogether; where a unit is read along several paths it is
    as exact as their independence. Single zeros save nothing here, and gates on single weights
    do not count. Gates whose law has no P(active), normal scales, count as open or closed by
    their criterion.

    References:
        Learning Sparse Neural Networks through L0 Regularization (Louizos, Welling, Kingma,
        2018), https://arxiv.org/abs/1712.01312

    Args:
        model: A network made by `bayesianize`, or a model around one.
        guide: Its guide; gradients need an `AutoSparse`.
        example_input: A batch, or a tuple of the arguments of the network.
        *args: Arguments of a guide written by hand.
        **kwargs: Its keyword arguments.

    Returns:
        By layer, a scalar for one example; their sum is that of the network.
    """
    structure = Structure(model, guide, example_input, *args, **kwargs)
    found = posteriors(guide, *args, **kwargs)
    chances = {site: _probability(found[site]) for _, site in structure.gates.values()}
    macs = {row.name: torch.tensor(float(row.macs)) for row in structure.dense.layers if row.macs}

    for use in structure.uses(chances):
        share = use.share()
        if use.layer in macs and share is not None:
            macs[use.layer] = macs[use.layer].to(share) * share

    return macs


def _probability(posterior: Posterior) -> Tensor:
    if isinstance(posterior.law, Gate):
        return posterior.law.prob_active

    kept = resolve("auto")(posterior.law, posterior.role, posterior.prior)
    return kept.to(posterior.law.mean)
