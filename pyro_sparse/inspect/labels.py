r"""Names of variables and of their dimensions."""

__all__ = ["Dims", "Labels"]

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import nn

from pyro_sparse.infer.statements import Site
from pyro_sparse.inspect.container import Variable
from pyro_sparse.inspect.gates import role_of
from pyro_sparse.nn import bayesian_layers
from pyro_sparse.nn.layout import Layout, layout_of

if TYPE_CHECKING:
    from numpy import ndarray

Dims = Mapping[str, Sequence[str]]

SAMPLED = ("posterior", "posterior_predictive", "log_likelihood", "sample_stats")


class Labels:
    r"""Gives arrays the names of their dimensions.

    A gate of layer `fc1` has "fc1.group", a weight "fc1.out", "fc1.in" and, in a convolution,
    "fc1.kernel_0" and so on, in the order of its layer: a transposed convolution or an embedding
    has its inputs first, and a bilinear layer has "fc1.in_0" and "fc1.in_1". Where a convolution
    has groups, the dimension that counts the channels of one is "fc1.in_of_group", or
    "fc1.out_of_group" if transposed. A dimension inside a plate has the plate's name; any other
    is counted, "site_dim_0".

    Args:
        sites: Trace nodes of all sites.
        dims: Names given by the user, for some sites.
        model: The model, whose layers are asked for their layouts; other weights count as
            those of linear layers or convolutions.
    """

    def __init__(self, sites: Mapping[str, Site], dims: Dims, model: Any = None) -> None:
        unknown = sorted(set(dims) - set(sites))
        if unknown:
            raise ValueError(f"dims names sites among {sorted(sites)}, got {unknown}.")

        self.layouts = _layouts(model)
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

        layout = self.layouts.get(name, Layout(in_dim=1, out_dim=0))
        return [_clean(dim) for dim in given or _default(name, site, count, layout)]


def _layouts(model: Any) -> dict[str, Layout]:
    """Of the weights of converted layers and their gates of the same shape, by site."""
    layers = list(bayesian_layers(model)) if isinstance(model, nn.Module) else []
    shaped = [
        (source.site, layout_of(layer))
        for layer in reversed(layers)  # of layers with one weight the first one counts
        for name, source in layer.sources.items()
        if name == "weight" or (name == "gate" and layer.gate_dim == "weight")
    ]
    return {site: layout for site, layout in shaped if layout is not None}


def _default(name: str, site: Site, count: int, layout: Layout) -> list[str]:
    layer = name.rpartition(".")[0] or name
    role = role_of(site["fn"])
    if role == "gate" and count == 1:
        return [f"{layer}.group"]
    if role is not None and count:
        return [f"{layer}.{dim}" for dim in _of_weight(layout, count)]

    names = [f"{name}_dim_{i}" for i in range(count)]
    batch = len(site["fn"].batch_shape)
    for frame in site["cond_indep_stack"]:
        if frame.dim is not None:
            names[batch + frame.dim] = frame.name
    return names


def _of_weight(layout: Layout, count: int) -> list[str]:
    if count == 1:
        return ["out"]

    others = [dim for dim in range(count) if dim not in (layout.in_dim, layout.out_dim)]
    names = dict.fromkeys(others, "in")
    if layout.in_dim is not None or len(others) > 1:
        what = "in" if layout.in_dim is None else "kernel"
        names = {dim: f"{what}_{index}" for index, dim in enumerate(others)}
    names[layout.out_dim] = "out"
    if layout.in_dim is not None:
        names[layout.in_dim] = "in"
    if layout.groups > 1 and layout.tiled is not None:
        names[layout.tiled] += "_of_group"
    return [names[dim] for dim in range(count)]


def _clean(name: str) -> str:
    """Files of draws use the slash for groups."""
    return name.replace("/", "_")
