r"""What a model observes: which of its sites are data, how likely it is, of how many examples."""

__all__ = ["counted", "examples_in", "is_data", "is_factor", "length_of", "log_likelihood"]

from collections.abc import Iterable
from typing import Any

import torch
from pyro.distributions import MaskedDistribution, Unit
from pyro.distributions.util import scale_and_mask
from torch import Tensor
from torch.distributions import Independent
from torch.utils._pytree import tree_leaves

from pyro_sparse.infer.statements import Site, is_likelihood
from pyro_sparse.local import Local, peel


def is_factor(site: Site) -> bool:
    r"""Whether a trace node is a term of the bound without data, as `pyro.factor` makes one."""

    return isinstance(peel(site["fn"]), Unit)


def is_data(site: Site) -> bool:
    r"""Whether a trace node observes data."""

    return is_likelihood(site) and not is_factor(site)


def log_likelihood(site: Site) -> Tensor:
    r"""The log-density of each data point, 0 where a mask hides it, `(*batch)`.

    Scales, as those of plates that subsample, are left out.

    Args:
        site: A trace node that observes data.
    """

    return scale_and_mask(site["fn"].log_prob(site["value"]), mask=site["mask"])


def counted(site: Site) -> Tensor:
    r"""Which entries of a site neither a handler's mask nor its law's hides.

    Args:
        site: A trace node.

    Returns:
        Booleans of the batch shape of the law without wrappers.
    """

    mask = True if site["mask"] is None else site["mask"]
    return _unmasked(site["fn"], torch.as_tensor(mask, device=site["value"].device))


def examples_in(sites: Iterable[Site], args: tuple, kwargs: dict[str, Any]) -> int:
    r"""The number of examples that a model was run on.

    It is the length of its first tensor, where data are observed in as many rows or outside of
    plates; otherwise the size of the largest plate around them.

    Args:
        sites: The trace nodes that observe data.
        args: Arguments of the model.
        kwargs: Its keyword arguments.
    """

    sites = list(sites)
    length = length_of((args, kwargs))
    plates = [f.size for site in sites for f in site["cond_indep_stack"] if f.dim is not None]
    rows = {size for site in sites for size in site["fn"].batch_shape}
    return length if length and (length in rows or not plates) else max(plates, default=1)


def length_of(batch: Any) -> int | None:
    r"""The length of the first tensor of a batch, None where there is none.

    Args:
        batch: Tensors in tuples, lists and dictionaries.
    """

    tensors = (leaf for leaf in tree_leaves(batch) if isinstance(leaf, Tensor) and leaf.ndim)
    return next((len(tensor) for tensor in tensors), None)


def _unmasked(law: Any, mask: Tensor) -> Tensor:
    if isinstance(law, Local):
        return _unmasked(law.law, mask)
    if isinstance(law, MaskedDistribution):
        return _unmasked(law.base_dist, mask & law._mask)
    if isinstance(law, Independent):
        inner = (None,) * law.reinterpreted_batch_ndims
        return _unmasked(law.base_dist, mask[(..., *inner)])
    return mask.expand(law.batch_shape)
