r"""Names of variables and of their dimensions."""

__all__ = ["Dims", "Labels"]

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pyro_sparse.infer.statements import Site
from pyro_sparse.inspect.container import Variable
from pyro_sparse.inspect.gates import role_of

if TYPE_CHECKING:
    from numpy import ndarray

Dims = Mapping[str, Sequence[str]]

SAMPLED = ("posterior", "posterior_predictive", "log_likelihood", "sample_stats")


class Labels:
    r"""Gives arrays the names of their dimensions.

    A gate of layer `fc1` has "fc1.group", a weight "fc1.out", "fc1.in" and, in a convolution,
    "fc1.kernel_0" and so on; a dimension inside a plate has the plate's name; any other is
    counted, "site_dim_0".

    Args:
        sites: Trace nodes of all sites.
        dims: Names given by the user, for some sites.
    """

    def __init__(self, sites: Mapping[str, Site], dims: Dims) -> None:
        unknown = sorted(set(dims) - set(sites))
        if unknown:
            raise ValueError(f"dims names sites among {sorted(sites)}, got {unknown}.")

        self.dims = {name: self._of_site(name, site, dims) for name, site in sites.items()}

    def named(self, group: str, arrays: Mapping[str, "ndarray"]) -> dict[str, Variable]:
        r"""Dimensions and array of each variable of a group, under a name that files allow.

        Args:
            group: Name of the group, which says whether there are draws.
            arrays: Arrays by site name; in constant data by "site.column".
        """

        lead = ["chain", "draw"] if group in SAMPLED else []
        named: dict[str, Variable] = {}
        for name, array in arrays.items():
            site = name.rpartition(".")[0] if group == "constant_data" else name
            inner = self.dims.get(site, [])[: array.ndim - len(lead)]
            named[_clean(name)] = ([*lead, *inner], array)

        return named

    def _of_site(self, name: str, site: Site, dims: Dims) -> list[str]:
        count = site["value"].ndim
        given = list(dims.get(name, []))
        if name in dims and len(given) != count:
            raise ValueError(f"'{name}' has {count} dimensions, but dims names {given}.")

        return [_clean(dim) for dim in given or _default(name, site, count)]


def _default(name: str, site: Site, count: int) -> list[str]:
    layer = name.rpartition(".")[0] or name
    role = role_of(site["fn"])
    if role == "gate" and count == 1:
        return [f"{layer}.group"]
    if role is not None and count:
        positions = [f"{layer}.kernel_{i}" for i in range(count - 2)]
        return [f"{layer}.out", f"{layer}.in", *positions][:count]

    names = [f"{name}_dim_{i}" for i in range(count)]
    batch = len(site["fn"].batch_shape)
    for frame in site["cond_indep_stack"]:
        if frame.dim is not None:
            names[batch + frame.dim] = frame.name
    return names


def _clean(name: str) -> str:
    """Files of draws use the slash for groups."""
    return name.replace("/", "_")
