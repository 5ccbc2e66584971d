r"""The gates of a guide as numbers: one row a group."""

__all__ = ["check_trained", "gate_columns", "gate_table", "log_alpha_of", "role_of"]

from collections.abc import Callable
from itertools import product
from typing import TYPE_CHECKING, Any

import torch
from pyro.distributions import MaskedDistribution
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from pyro_sparse.distributions import Gate, HardConcrete
from pyro_sparse.guides import AutoSparse
from pyro_sparse.inspect.extras import require
from pyro_sparse.local import Local
from pyro_sparse.prune import Criterion, masks
from pyro_sparse.prune.mask import posteriors

if TYPE_CHECKING:
    from pandas import DataFrame


def gate_table(
    guide: Callable, *args: Any, criterion: Criterion | str = "auto", **kwargs: Any
) -> "DataFrame":
    r"""Every gate of a guide in a frame, one row a group.

    Columns: `site` and `index` say which gate; `prob_active` is P(active), empty for a scale
    without an atom at 0; `log_alpha` is the papers' log alpha (of a gate: high is open; of a
    normal scale, log variance / mean squared: high is noise); `deterministic` is the value at
    test time; `keep` is what the criterion says.

    Args:
        guide: An `AutoSparse` guide, or one written by hand, which is run once.
        *args: Arguments of a guide written by hand.
        criterion: A criterion of `pyro_sparse.prune`, or its name.
        **kwargs: Keyword arguments of a guide written by hand.

    Raises:
        ValueError: The guide has no gates, or was never trained.
    """

    pandas = require("pandas")
    check_trained(guide)
    found = posteriors(guide, *args, **kwargs)
    kept = masks(guide, criterion, *args, **kwargs)
    frames = []

    with torch.no_grad():
        for site, posterior in found.items():
            if posterior.role == "gate" or isinstance(posterior.law, Gate):
                columns = gate_columns(posterior.law) | {"keep": kept[site]}
                flat = {name: value.flatten().cpu().numpy() for name, value in columns.items()}
                index = _indices(posterior.law.batch_shape)
                frames.append(pandas.DataFrame({"site": site, "index": index} | flat))

    if not frames:
        raise ValueError(
            f"The guide has no gates; its sites are {sorted(found)}. A weight's dropout is in "
            "masks(guide) and guide.laws(); gates come from bayesianize(net, gate=L0(1.0))."
        )

    return pandas.concat(frames, ignore_index=True)


def log_alpha_of(law: Distribution) -> Tensor | None:
    r"""The papers' log alpha of a law, `(*batch)`; None for a law that has none.

    Of a hard-concrete gate it is the location (high is open), of a normal weight or scale
    :math:`\log \sigma^2 / \mu^2` (high is noise).

    Args:
        law: The law, without wrappers.

    Example:
        >>> log_alpha_of(Normal(torch.tensor([1.0, 0.1]), 1.0))
        tensor([0.0000, 4.6052])
    """

    if isinstance(law, HardConcrete):
        return law.logits.expand(law.batch_shape)
    if isinstance(law, Normal):
        return 2 * (law.scale.log() - law.loc.abs().log())

    return None


def gate_columns(law: Distribution) -> dict[str, Tensor]:
    r"""What `gate_table` says of a gate or a multiplicative scale, each `(*batch)`.

    Args:
        law: The law, without wrappers.
    """

    alpha = log_alpha_of(law)
    if isinstance(law, Gate):
        known = {"prob_active": law.prob_active, "deterministic": law.deterministic}
    else:
        known = {"prob_active": torch.full_like(law.mean, torch.nan), "deterministic": law.mean}

    return known | {"log_alpha": known["prob_active"] * torch.nan if alpha is None else alpha}


def role_of(law: Distribution) -> str | None:
    r"""What a site's value is for: "gate", "weight", or None where its law does not say.

    Args:
        law: The law, with its wrappers.
    """

    inner: Any = law
    while isinstance(inner, Independent | MaskedDistribution):
        inner = inner.base_dist

    if isinstance(inner, Local):
        return inner.role
    return "gate" if isinstance(inner, Gate) else None


def check_trained(guide: Callable) -> None:
    r"""Refuses an `AutoSparse` guide whose uncertainties are all as they were made.

    Training moves every gate and every variance by its own amount; a guide in which all of them
    are equal says nothing about the data.

    Args:
        guide: Any guide; of others than `AutoSparse` nothing is known.

    Raises:
        ValueError: The guide was never trained.
    """

    if not isinstance(guide, AutoSparse):
        return

    moved = {name: p for name, p in guide.named_parameters() if not _is_location(name)}
    many = {name: p for name, p in moved.items() if p.numel() > 1}

    if many and all(bool((p == p.flatten()[0]).all()) for p in many.values()):
        raise ValueError(
            f"The guide was never trained: the entries of {sorted(many)} are all equal. "
            "Train it, or load its state_dict, before looking at it."
        )


def _is_location(name: str) -> bool:
    """Means and point masses start at the network's own weights, which are not all equal."""
    return name.rsplit(".", 1)[-1] in ("loc", "value")


def _indices(shape: torch.Size) -> list[Any]:
    """The index of each entry: a number in one dimension, a tuple in several."""
    if len(shape) == 1:
        return list(range(shape[0]))

    return list(product(*map(range, shape)))
