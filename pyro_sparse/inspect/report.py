r"""One table that says what a posterior has made of a network."""

__all__ = ["report"]

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from pyro import poutine
from torch import Tensor, nn
from torch.distributions import Distribution

from pyro_sparse.distributions import Gate
from pyro_sparse.infer.bound import run_pair
from pyro_sparse.infer.divergence import site_divergence
from pyro_sparse.infer.draws import evaluating, guide_draw, model_draw
from pyro_sparse.infer.statements import Site, is_latent
from pyro_sparse.inspect.extras import require
from pyro_sparse.local import Deferred
from pyro_sparse.nn import BayesianLayer
from pyro_sparse.nn.layer import BayesianNetwork
from pyro_sparse.prune import Criterion, compact, count, freeze, masks
from pyro_sparse.prune.mask import Posterior, posteriors

if TYPE_CHECKING:
    from pandas import DataFrame

Row = dict[str, Any]


def report(
    model: nn.Module,
    guide: Callable,
    example_input: Tensor | tuple[Tensor, ...],
    criterion: Criterion | str = "auto",
) -> "DataFrame":
    r"""A frame with one row a layer and one for the whole; printing it is a table.

    Columns: `groups` and `groups_kept` count gates; `prob_active` is the mean P(active) of the
    layer's gates; `kl` its divergence in nats; `weights` and `weights_kept` count entries of
    parameters with two or more dimensions, kept ones being those other than 0 of the network that
    `freeze` and `compact` make; `macs` and `macs_kept` are multiply-adds of one example, as
    `count` counts them, in the whole network and with the weights kept (where a network cannot
    be traced, only zeros are counted, and no layer is taken to be smaller); `noise` says
    how the layer's samples were drawn when the model ran just now: "local" (as noise of the
    pre-activations), "per example", "once" for all examples, or "none" for point masses. It is
    "parameters" for selected layers none of whose values has a prior, and "not converted" for
    modules with weights that conversion left alone; the scales and shifts of norms are no weights.

    Args:
        model: A network made by `bayesianize`, with a likelihood around it.
        guide: Its guide.
        example_input: Inputs of the model, `(B, *)` with two or more examples.
        criterion: What is kept: a criterion of `pyro_sparse.prune`, or its name.

    Raises:
        TypeError: The model holds no network made by `bayesianize`.
    """

    modules = model.modules() if isinstance(model, nn.Module) else ()
    if not any(isinstance(module, BayesianNetwork) for module in modules):
        raise TypeError(
            "A report is of a model around a network made by bayesianize, got "
            f"{getattr(model, '__name__', type(model).__name__)}. Of other programs, "
            "gate_table(guide) tells the gates."
        )
    pandas = require("pandas")
    inputs = example_input if isinstance(example_input, tuple) else (example_input,)

    with torch.no_grad(), evaluating(model, guide):
        rows = _costs(model, guide, inputs, criterion)
        kept = masks(guide, criterion, *inputs)
        found = posteriors(guide, *inputs)
        kl, noise = _divergences(model, guide, inputs)

        for site, posterior in found.items():
            row = rows.setdefault(site.rpartition(".")[0], {})
            row["kl"] = row.get("kl", 0.0) + kl[site]
            row.setdefault("noise", []).append(noise[site])
            if posterior.role == "gate" or isinstance(posterior.law, Gate):
                row |= _gates(posterior, kept[site])

    for name, weights, why in _not_sampled(model):
        row = rows.setdefault(name, {"weights": weights, "weights_kept": weights})
        row["noise"] = [why]

    frame = pandas.DataFrame(rows.values(), index=[name or "(net)" for name in rows])
    frame = frame.reindex(columns=[*_COLUMNS, "noise"])
    frame["noise"] = [
        ", ".join(dict.fromkeys(n)) if isinstance(n, list) else "" for n in frame.noise
    ]
    frame.loc["total"] = _total(frame)
    return _printable()(frame.astype(_COLUMNS))


_COLUMNS = {
    "groups": "Int64",
    "groups_kept": "Int64",
    "prob_active": "float64",
    "kl": "float64",
    "weights": "Int64",
    "weights_kept": "Int64",
    "macs": "Int64",
    "macs_kept": "Int64",
}
_FORMATS = {name: "{:,}" for name in _COLUMNS} | {"prob_active": "{:.3f}", "kl": "{:,.1f}"}


def _costs(
    model: nn.Module, guide: Callable, inputs: tuple, criterion: Criterion | str
) -> dict[str, Row]:
    frozen = freeze(model, guide, criterion, *inputs)
    smaller = _smaller(frozen, inputs)
    left = {layer.name: layer for layer in count(smaller, inputs).layers}
    rows: dict[str, Row] = {}

    for layer in count(frozen, inputs).layers:
        row = {"weights": layer.weights, "weights_kept": 0, "macs": layer.macs, "macs_kept": 0}
        if layer.name in left:
            row["weights_kept"] = _nonzero_weights(smaller.get_submodule(layer.name))
            row["macs_kept"] = left[layer.name].nonzero_macs
        rows[layer.name] = row

    return rows


def _smaller(frozen: nn.Module, inputs: tuple) -> nn.Module:
    """The compact network; the one with zeros where its code cannot be followed."""
    try:
        return compact(frozen, inputs, allow_empty=True)
    except ValueError:
        return frozen


def _nonzero_weights(module: nn.Module) -> int:
    weights = [p for p in module.parameters(recurse=False) if p.ndim > 1]
    return sum(int(weight.count_nonzero()) for weight in weights)


def _not_sampled(model: nn.Module) -> Iterator[tuple[str, int, str]]:
    """Modules that kept all of their weights as parameters, how many, and why."""
    network = next(module for module in model.modules() if isinstance(module, BayesianNetwork))

    for name, module in network.named_modules():
        weights = sum(p.numel() for p in module.parameters(recurse=False) if p.ndim > 1)
        if weights and not isinstance(module, BayesianLayer):
            yield name, weights, "not converted"
        elif weights and not module.sources:
            yield name, weights, "parameters"


def _gates(posterior: Posterior, kept: Tensor) -> Row:
    law = posterior.law
    prob = float(law.prob_active.mean()) if isinstance(law, Gate) else None
    return {"groups": kept.numel(), "groups_kept": int(kept.sum()), "prob_active": prob}


def _divergences(
    model: Callable, guide: Callable, inputs: tuple
) -> tuple[dict[str, float], dict[str, str]]:
    """Per site, the divergence and how it is drawn; the model's open sites are made up."""
    draw = guide_draw(guide, *inputs)
    values = {name: site["value"] for name, site in draw.items()}
    sites = model_draw(model, values, *inputs)
    data = {name: site["value"] for name, site in sites.items() if name not in draw}

    with poutine.block():
        model_trace, guide_trace = run_pair(poutine.condition(model, data), guide, inputs, {})

    kl, noise = {}, {}
    nodes: list[tuple[str, Site]] = list(guide_trace.nodes.items())
    for name, site in nodes:
        if is_latent(site) and name in model_trace:
            found = site_divergence(name, site, model_trace.nodes[name], guide_trace)
            kl[name], noise[name] = float(found.value), _noise(site)

    return kl, noise


def _noise(site: Site) -> str:
    law: Distribution = site["fn"]
    if not law.has_rsample or bool((law.variance == 0).all()):
        return "none"
    if not isinstance(site["value"], Deferred):
        return "once"

    used = site["value"].factors[0].draw.used or "unused"
    return {"global": "once"}.get(used, used.partition(" (")[0])


def _total(frame: "DataFrame") -> list[Any]:
    sums = frame[list(_COLUMNS)].astype("float64").sum(min_count=1)
    groups = frame["groups"].astype("float64")
    sums["prob_active"] = (frame["prob_active"] * groups).sum(min_count=1) / groups.sum()
    return [*sums, ""]


@functools.cache
def _printable() -> Any:
    """A frame that prints all its columns in one block; pandas is imported only now."""
    frame_class: Any = require("pandas").DataFrame

    class Report(frame_class):
        @property
        def _constructor(self) -> Any:
            return frame_class

        def __repr__(self) -> str:
            return str(self._told().to_string())

        def _repr_html_(self) -> str:
            return str(self._told()._repr_html_())

        def _told(self) -> Any:
            missing = self.isna()
            cells = {
                name: [
                    "" if gone else _FORMATS.get(name, "{}").format(value)
                    for value, gone in zip(self[name], missing[name], strict=True)
                ]
                for name in self.columns
            }
            return frame_class(cells, index=self.index)

        def __reduce__(self) -> Any:
            return frame_class(self).__reduce__()

    return Report
