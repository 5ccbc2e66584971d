r"""Posterior predictive: what the networks of a posterior say together, and how they disagree."""

__all__ = ["predict"]

from collections.abc import Callable, Iterator
from typing import Any

import pyro
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Categorical, Distribution, OneHotCategorical

from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer.draws import evaluating, guide_draw, law_of, model_draw
from pyro_sparse.infer.footprint import Allocations, Footprint, Plan, measure
from pyro_sparse.infer.outcomes import is_factor
from pyro_sparse.infer.prediction import Classification, Regression
from pyro_sparse.infer.statements import Site
from pyro_sparse.local import peel

Inputs = tuple[Tensor | None, ...]
Values = dict[str, Tensor]


def predict(
    model: Callable,
    guide: Callable,
    x: Tensor | Inputs,
    num_samples: int = 100,
    *,
    site: str | None = None,
    return_draws: bool = False,
    max_bytes: int = 2**28,
    vectorize: bool | None = None,
) -> Classification | Regression:
    r"""Averages a model's predictions over draws from a guide.

    A draw is one network: its weights are drawn once and meet all inputs. Modules are put in
    evaluation mode meanwhile. No gradients are kept.

    References:
        Weight Uncertainty in Neural Networks (Blundell, Cornebise, Kavukcuoglu, Wierstra,
        2015), https://arxiv.org/abs/1505.05424
        Decomposition of Uncertainty in Bayesian Deep Learning for Efficient and Risk-sensitive
        Learning (Depeweg et al., 2018), https://arxiv.org/abs/1710.07283

    Args:
        model: The model; `model(x)` runs it without data.
        guide: The guide. It must not depend on the inputs.
        x: Inputs, `(N, *)`, or a tuple of the model's arguments, with equal `N`; None may stand
            for responses that a model insists on.
        num_samples: Number of draws.
        site: The observed site; by default the only one that the guide does not sample.
        return_draws: Whether to keep the prediction of each draw.
        max_bytes: About how much memory may be used beside the result; decides how many inputs
            and draws are taken at once.
        vectorize: Whether to run several draws at once by `torch.vmap`; by default only where the
            model is so small that the time goes into calls instead of arithmetic.

    Returns:
        A `Classification` where the observed site is categorical or Bernoulli, otherwise a
        `Regression` with the means and variances of its law.

    Raises:
        ValueError: The model leaves no site or several sites open, the guide draws one value
            per example, or the law of the site has no mean.
        TypeError: The inputs are not tensors.
    """

    inputs = _inputs(x)
    size = _checked_size(inputs, num_samples, max_bytes)

    with torch.no_grad(), evaluating(model, guide), pyro.validation_enabled(False):
        program = _Program(model, guide, inputs, site)
        footprint = program.footprint(size)
        plan = footprint.plan(size, num_samples, max_bytes, vectorize)

        try:
            return _gather(program, plan, size, num_samples, return_draws)
        except RuntimeError as error:
            # What torch cannot vectorise runs one draw at a time, unless that was ruled out.
            if vectorize is not None or not plan.vectorize or "vmap" not in str(error):
                raise

        plan = footprint.plan(size, num_samples, max_bytes, vectorize=False)
        return _gather(program, plan, size, num_samples, return_draws)


class _Program:
    """A model and a guide as two functions of tensors: draw the weights, run the inputs."""

    def __init__(self, model: Callable, guide: Callable, inputs: Inputs, site: str | None) -> None:
        self.model, self.guide, self.inputs = model, guide, inputs
        self.laws = _independent_laws(guide)
        self.head = self._rows(slice(0, 2))

        with Allocations() as self.drawing:
            nodes = guide_draw(guide, *self.head)

        self.values = {name: node["value"] for name, node in nodes.items()}
        sites = model_draw(model, self.values, *self.head)
        outcomes = (name for name in sites.keys() - nodes.keys() if not is_factor(sites[name]))
        self.site = _chosen(sorted(outcomes), site)

        law = peel(sites[self.site]["fn"])
        self.classifies = isinstance(law, Bernoulli | Categorical | OneHotCategorical)
        _check_global(nodes, self.site, sites[self.site])

    def footprint(self, size: int) -> Footprint:
        def run(count: int) -> object:
            return self.run(self.values, slice(0, count))

        return measure(self.drawing.bytes, run, size)

    def draw(self) -> Values:
        if self.laws is not None:
            return {name: law.sample() for name, law in self.laws.items()}

        nodes = guide_draw(self.guide, *self.head)
        return {name: node["value"] for name, node in nodes.items()}

    def run(self, values: Values, rows: slice) -> tuple[Tensor, Tensor]:
        return _moments(peel(law_of(self.site, self.model, values, *self._rows(rows))))

    def _rows(self, rows: slice) -> Inputs:
        return tuple(None if t is None else t[rows] for t in self.inputs)


class _Average:
    """Mean, and sum of squared deviations if wanted, over draws that come in pieces."""

    def __init__(self, size: int, squares: bool) -> None:
        self.size, self.squares = size, squares
        self.mean: Tensor | None = None
        self.deviation: Tensor | None = None

    def add(self, piece: Tensor, rows: slice, seen: int) -> None:
        if self.mean is None:
            self.mean = piece.new_zeros(self.size, *piece.shape[2:])
            self.deviation = torch.zeros_like(self.mean) if self.squares else None

        count, mean = len(piece), piece.mean(0)
        change = mean - self.mean[rows]
        self.mean[rows] += change * (count / (seen + count))

        if self.deviation is not None:
            inside = (piece - mean).square().sum(0)
            self.deviation[rows] += inside + change.square() * (seen * count / (seen + count))


def _gather(
    program: _Program, plan: Plan, size: int, num_samples: int, return_draws: bool
) -> Classification | Regression:
    first = _Average(size, squares=not program.classifies)
    second = _Average(size, squares=False)
    kept: Tensor | None = None

    for start in range(0, num_samples, plan.draws):
        count = min(plan.draws, num_samples - start)
        values = _draws(program, count, plan.vectorize)

        for rows in _pieces(size, plan.inputs):
            means, seconds = _outputs(program, values, rows, count, plan.vectorize)
            _check_rows(program.site, means, rows)
            first.add(means, rows, start)
            second.add(seconds, rows, start)

            if return_draws:
                if kept is None:
                    kept = means.new_empty(num_samples, size, *means.shape[2:])
                kept[start : start + count, rows] = means

    assert first.mean is not None and second.mean is not None
    if program.classifies:
        return Classification(first.mean, second.mean, kept)

    assert first.deviation is not None
    return Regression(first.mean, first.deviation / num_samples, second.mean, kept)


def _independent_laws(guide: Callable) -> dict[str, Any] | None:
    """The laws of a guide whose sites are independent, which spares running it for every draw."""
    if not isinstance(guide, AutoSparse):
        return None
    return {name: peel(law) for name, law in guide.laws().items()}


def _draws(program: _Program, count: int, vectorize: bool) -> Values:
    if not vectorize:
        return program.draw()

    if program.laws is not None:
        return {name: law.sample(torch.Size([count])) for name, law in program.laws.items()}

    draws = [program.draw() for _ in range(count)]
    return {name: torch.stack([draw[name] for draw in draws]) for name in draws[0]}


def _outputs(
    program: _Program, values: Values, rows: slice, count: int, vectorize: bool
) -> tuple[Tensor, Tensor]:
    if not vectorize:
        first, second = program.run(values, rows)
        return first[None], second[None]

    # The counter stands for the draws where a guide without sites gives no values.
    def run(values: Values, _: Tensor) -> tuple[Tensor, Tensor]:
        return program.run(values, rows)

    return torch.vmap(run, randomness="different")(values, torch.arange(count))


def _moments(law: Distribution) -> tuple[Tensor, Tensor]:
    """What is averaged: probabilities and entropy of classes, mean and variance otherwise."""
    if isinstance(law, Bernoulli):
        return torch.stack([1 - law.probs, law.probs], -1), law.entropy()
    if isinstance(law, Categorical | OneHotCategorical):
        return law.probs, law.entropy()

    try:
        return law.mean, law.variance
    except NotImplementedError as error:
        raise ValueError(
            f"predict averages means and variances, and {type(law).__name__} does not state its "
            "own. Use pyro.infer.Predictive, or observe a law that does."
        ) from error


def _inputs(x: Any) -> Inputs:
    inputs = (x,) if isinstance(x, Tensor) else x
    if not isinstance(inputs, tuple | list) or not all(
        isinstance(t, Tensor | None) for t in inputs
    ):
        raise TypeError(
            "The inputs are a tensor, or a tuple of the model's arguments, each a tensor or None, "
            f"got {type(x).__name__}. Convert arrays with torch.as_tensor."
        )
    return tuple(inputs)


def _pieces(size: int, length: int) -> Iterator[slice]:
    return (slice(start, min(start + length, size)) for start in range(0, size, length))


def _checked_size(inputs: Inputs, num_samples: int, max_bytes: int) -> int:
    sizes = {len(t) for t in inputs if t is not None}

    if len(sizes) != 1 or sizes == {0}:
        raise ValueError(
            "The inputs need one common, positive number of rows, got "
            f"{[None if t is None else tuple(t.shape) for t in inputs]}."
        )
    for name, value in (("num_samples", num_samples), ("max_bytes", max_bytes)):
        if value < 1:
            raise ValueError(f"{name} is at least 1, got {value}.")

    return sizes.pop()


def _chosen(found: list[str], site: str | None) -> str:
    if site is None and len(found) == 1:
        return found[0]
    if site is not None and site in found:
        return site

    if not found:
        raise ValueError(
            "The guide samples every site of the model, so there is nothing to predict. "
            "A model needs an observed site: pyro.sample(..., obs=data)."
        )
    if site is None:
        raise ValueError(
            f"The guide leaves several sites of the model open: {found}. Name the "
            'observed one, predict(..., site="..."), or let the guide sample the others.'
        )
    raise ValueError(f"The site to predict is one of {found}, got '{site}'.")


def _check_global(nodes: dict[str, Site], site: str, observed: Site) -> None:
    for name, node in nodes.items():
        shared = _plates(observed) & _plates(node)
        if shared:
            raise ValueError(
                f"The guide draws '{name}' once per example of plate {sorted(shared)}, in which "
                f"'{site}' is observed too; such a value says nothing about new inputs. "
                "Use pyro.infer.Predictive."
            )


def _plates(site: Site) -> set[str]:
    return {frame.name for frame in site["cond_indep_stack"]}


def _check_rows(site: str, means: Tensor, rows: slice) -> None:
    count = rows.stop - rows.start
    if means.ndim < 2 or means.shape[1] != count:
        raise ValueError(
            f"The observed site '{site}' has one row per input, got shape "
            f"{tuple(means.shape[1:])} for {count} inputs. Put the examples first."
        )
