r"""A variational posterior as what ArviZ works on."""

__all__ = ["to_arviz"]

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from importlib.metadata import version
from types import FunctionType
from typing import Any

import pyro
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from pyro_sparse.distributions import Gate
from pyro_sparse.infer.draws import evaluating, guide_draw, model_draw
from pyro_sparse.infer.outcomes import is_factor, log_likelihood
from pyro_sparse.infer.statements import Site, is_likelihood
from pyro_sparse.inspect.container import container, dataset
from pyro_sparse.inspect.densities import log_densities
from pyro_sparse.inspect.gates import check_trained, gate_columns, log_alpha_of, role_of
from pyro_sparse.inspect.history import columns
from pyro_sparse.inspect.labels import Dims, Labels
from pyro_sparse.inspect.recorder import Recorder
from pyro_sparse.local import peel
from pyro_sparse.prune import Criterion, masks

Nodes = Mapping[str, Site]


def to_arviz(
    model: Callable,
    guide: Callable,
    *args: Any,
    num_samples: int = 500,
    sites: str | Sequence[str] | None = None,
    weights: bool = False,
    thin: int = 1,
    criterion: Criterion | str = "auto",
    history: Any = None,
    dims: Dims | None = None,
    coords: Mapping[str, Sequence[Any]] | None = None,
    attrs: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> Any:
    r"""Draws from a guide and puts what is known of the posterior into an ArviZ result.

    It is an `InferenceData` in ArviZ 0.22 and later, a `DataTree` in 1.0 and later, with the same
    content in either:

    - `posterior`: draws of gates and other latent sites, `(chain 1, draw, *dims)`. Each draw is
      one whole network;
    - `posterior_predictive`, `log_likelihood` (of each data point, 0 where a mask hides it, with
      a dither of 1e-10 that keeps equal draws apart), `observed_data`: of the model's observed
      sites, terms of `pyro.factor` left out;
    - `sample_stats`: `lp`, log p(data, draw), and `log_q`; their difference is what the Pareto k
      of variational inference is computed from, on the data trained on;
    - `constant_data`: what needs no draws: `prob_active`, `active_logits`, `deterministic` of
      gates, `log_alpha` of gates and normal weights, `keep` by the criterion;
    - `training`: the history, if given.

    The draws are independent, so r-hat and effective sample sizes say nothing here: look at the
    Pareto k instead.

    References:
        Yes, but Did It Work?: Evaluating Variational Inference (Yao et al., 2018)
        https://arxiv.org/abs/1802.02538

    Args:
        model: The model.
        guide: The guide, trained.
        *args: Arguments of both: the inputs, and the responses where there are any.
        num_samples: Number of draws.
        sites: Names or patterns such as "*.gate" of the sites to draw; by default all but weights.
        weights: Whether weights are among the sites by default. They are many.
        thin: Every how manieth draw of the sites is kept; the other groups keep all draws.
        criterion: What `keep` says, a criterion of `pyro_sparse.prune` or its name.
        history: A `Training`, its `history` or `rows`, or numbers per epoch by name; "epoch"
            becomes the coordinate, None becomes nan, and texts are left out.
        dims: Names of a site's dimensions, `{"fc1.gate": ["feature"]}`; a gate of a network has
            "fc1.group", a weight "fc1.out" and "fc1.in" in the order of its layer, an outcome the
            names of its plates.
        coords: Labels by name of the dimension, `{"feature": names}`.
        attrs: More attributes to keep, such as the seed.
        **kwargs: Keyword arguments of model and guide.

    Raises:
        ValueError: No site is left to draw, the guide was never trained, or draws are not finite
            (the site is named).
        ImportError: ArviZ is not installed.
    """

    _check_counts(num_samples, thin)
    check_trained(guide)

    with torch.no_grad(), evaluating(model, guide):
        draw = _first_draw(guide, args, kwargs)
        chosen = _chosen(draw, sites, weights)

        recorder = Recorder(num_samples)
        for index in range(num_samples):
            draw = guide_draw(guide, *args, **kwargs) if index else draw
            values = {name: site["value"] for name, site in draw.items()}
            _check_finite(values, chosen)
            for name in chosen:
                recorder.add("posterior", name, index, values[name], every=thin)

            run = model_draw(model, values, *args, **kwargs)
            _record_outcomes(recorder, index, draw, run)

        kept = masks(guide, criterion, *args, **kwargs)
        for name in chosen:
            for column, value in _constants(peel(draw[name]["fn"]), kept[name]).items():
                recorder.keep("constant_data", f"{name}.{column}", value)

    labels = Labels(run | draw, dims or {}, model)
    groups = {}
    for group, arrays in recorder.groups.items():
        every = {"draw": range(0, num_samples, thin if group == "posterior" else 1)}
        groups[group] = dataset(labels.named(group, arrays), every | dict(coords or {}))

    groups["training"] = _training(columns(history))
    about: dict[str, Any] = {
        "criterion": _name(criterion),
        "model": _name(model),
        "guide": _name(guide),
    }
    about |= {key: _plain(value) for key, value in (attrs or {}).items()}
    return container(groups, _library() | about)


def _record_outcomes(recorder: Recorder, index: int, draw: Nodes, run: Nodes) -> None:
    """What the model says of its data at one draw, and the densities of the draw."""
    outcomes = {n: site for n, site in run.items() if n not in draw and not is_factor(site)}

    for name, site in outcomes.items():
        observed = is_likelihood(site)
        predicted = site["fn"].sample() if observed else site["value"]
        recorder.add("posterior_predictive", name, index, predicted)
        if observed:
            likelihood = log_likelihood(site).double() + _dither(index)
            recorder.add("log_likelihood", name, index, likelihood)
            recorder.keep("observed_data", name, site["value"])

    if any(is_likelihood(site) for site in outcomes.values()):
        log_p, log_q = log_densities(draw, run)
        recorder.add("sample_stats", "lp", index, log_p)
        recorder.add("sample_stats", "log_q", index, log_q)


def _dither(index: int) -> float:
    # Draws that close the same gates can be the same network. ArviZ 1.x fits no tail to equal
    # likelihoods, so that `loo` of a sparse network would fail.
    return 1e-10 * (index * 0.6180339887498949 % 1)


def _constants(law: Distribution, kept: Tensor) -> dict[str, Tensor]:
    """What is known of a site without draws."""
    if isinstance(law, Gate):
        logits = {"active_logits": law.active_logits, "keep": kept}
        known = gate_columns(law) | logits
        return {name: value for name, value in known.items() if not value.isnan().all()}

    alpha = log_alpha_of(law)
    return {"keep": kept} | ({} if alpha is None else {"log_alpha": alpha})


def _first_draw(guide: Callable, args: tuple, kwargs: dict[str, Any]) -> dict[str, Site]:
    """A draw, unless it is the first time the guide has any parameters."""
    before = _parameters(guide)
    draw = guide_draw(guide, *args, **kwargs)
    made = sorted(_parameters(guide) - before)

    if made:
        raise ValueError(
            f"The guide was never trained: it made its parameters {made} only now. "
            "Train it, or load its parameters, before looking at it."
        )
    return draw


def _parameters(guide: Callable) -> set[str]:
    own = dict(guide.named_parameters()) if isinstance(guide, nn.Module) else {}
    return {*own, *pyro.get_param_store().keys()}


def _chosen(draw: Nodes, sites: str | Sequence[str] | None, weights: bool) -> list[str]:
    if sites is not None:
        patterns = [sites] if isinstance(sites, str) else list(sites)
        missing = [p for p in patterns if not any(fnmatchcase(name, p) for name in draw)]
        if missing or not patterns:
            raise ValueError(
                f"Each entry of sites matches a site of the guide, one of {sorted(draw)}, "
                f"but {missing or 'an empty list'} does not."
            )
        return [name for name in draw if any(fnmatchcase(name, p) for p in patterns)]

    chosen = [name for name, site in draw.items() if weights or not _is_weight(site)]
    if not chosen:
        raise ValueError(
            f"The model has no gates: all its sites, {sorted(draw)}, are weights. "
            'Say weights=True to draw them all, or choose some, sites=["*.bias"].'
        )
    return chosen


def _is_weight(site: Site) -> bool:
    # A law that does not say what it is for counts as a weight if it is a matrix or more.
    role = role_of(site["fn"])
    return role == "weight" if role is not None else site["value"].ndim > 1


def _check_counts(num_samples: int, thin: int) -> None:
    for name, value in (("num_samples", num_samples), ("thin", thin)):
        if value < 1:
            raise ValueError(f"{name} is at least 1, got {value}.")


def _check_finite(values: Mapping[str, Tensor], chosen: Sequence[str]) -> None:
    for name in chosen:
        bad = int((~values[name].isfinite()).sum())
        if bad:
            raise ValueError(
                f"Draws are finite, but {bad} of {values[name].numel()} entries of '{name}' are "
                "not. Did the training diverge?"
            )


def _training(curves: dict[str, Any]) -> Any:
    epochs = {"epoch": curves.pop("epoch")} if "epoch" in curves else {}
    return dataset({name: (["epoch"], array) for name, array in curves.items()}, epochs)


def _library() -> dict[str, str]:
    return {
        "inference_library": "pyro_sparse",
        "inference_library_version": version("pyro-sparse"),
        "creation_library": "pyro_sparse",
        "created_at": datetime.now(UTC).isoformat(),
        "torch_version": str(torch.__version__),
    }


def _plain(value: Any) -> str | int | float:
    """What files of draws can hold as an attribute."""
    return value if type(value) in (str, int, float) else str(value)


def _name(thing: Any) -> str:
    if isinstance(thing, str):
        return thing
    return thing.__name__ if isinstance(thing, FunctionType) else type(thing).__name__
