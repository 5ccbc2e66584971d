"""The pages of the methods: formula, picture, when and when not, results, settings, citation."""

__all__ = ["PAGES", "MethodPage", "write_methods"]

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyro.distributions import Bernoulli, Delta, HalfCauchy, LogNormal, Normal
from torch.distributions.kl import _dispatch_kl

from docs.generate.docstrings import definition, formulas, linked
from docs.generate.markdown import bibtex, pictures
from docs.generate.results import rows_of, settings_of
from examples.lenet.laws import GroupLasso
from examples.support.table import as_markdown
from pyro_sparse.distributions import (
    L0,
    EmpiricalNormal,
    GroupGaussianMixture,
    HardConcrete,
    HardNormal,
    LogUniform,
    MixtureGate,
    TruncatedLogNormal,
    TruncatedLogUniform,
)
from pyro_sparse.infer import Budget, TraceSparse_ELBO

Pair = tuple[type, type]


@dataclass(frozen=True)
class MethodPage:
    """What is known of a page beside its text.

    Attributes:
        results: Its names among the methods of `examples.mnist`.
        pair: Posterior and prior, whose divergence is the heart of the method.
        formula: Whose formulas are shown beside the divergence's.
        others: What else it is cited for.
    """

    results: tuple[str, ...]
    pair: Pair
    formula: Any = None
    others: tuple[Any, ...] = ()

    @property
    def rule(self) -> Callable:
        """The divergence."""
        return _dispatch_kl(*self.pair)


PAGES = {
    "budget": MethodPage(("budget", "budget_mdr"), (HardConcrete, L0), Budget, (Budget,)),
    "l0": MethodPage(("l0", "l0_sep"), (HardConcrete, L0), HardConcrete, (HardConcrete,)),
    "spike_and_slab": MethodPage(("spike_slab",), (HardConcrete, Bernoulli), TraceSparse_ELBO),
    "stochastic_gates": MethodPage(("stg",), (HardNormal, L0), HardNormal, (HardNormal,)),
    "mixture_gates": MethodPage(
        ("mdr_exp", "mdr_uniform", "mdr_power"), (MixtureGate, L0), MixtureGate, (MixtureGate,)
    ),
    "variational_dropout": MethodPage(("vd", "vd_budget"), (Normal, LogUniform)),
    "empirical_bayes_dropout": MethodPage(("ebvd",), (Normal, EmpiricalNormal)),
    "gaussian_mixture_em": MethodPage(("mixture_em",), (Normal, GroupGaussianMixture)),
    "information_bottleneck": MethodPage(
        ("vib", "vib_budget"), (Normal, EmpiricalNormal), EmpiricalNormal, (EmpiricalNormal,)
    ),
    "structured_bayesian_pruning": MethodPage(
        ("sbp", "sbp_small"), (TruncatedLogNormal, TruncatedLogUniform)
    ),
    "group_normal_jeffreys": MethodPage(("gnj",), (Normal, LogUniform)),
    "group_horseshoe": MethodPage(("ghs",), (LogNormal, HalfCauchy)),
    "group_lasso": MethodPage(("group_lasso",), (Delta, GroupLasso), GroupLasso, (GroupLasso,)),
}


def write_methods(texts: Path, folder: Path) -> None:
    """Writes a page for each method, and their index.

    Args:
        texts: The folder with what is written by hand, a file a method.
        folder: Where the pages go.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for slug, page in PAGES.items():
        title, lead, text = _split((texts / f"{slug}.md").read_text())
        parts = _page(slug, page, title, lead, text)
        (folder / f"{slug}.md").write_text("\n\n".join(parts) + "\n")
        rows.append([f"[{title}]({slug}.md)", f"{page.pair[0].__name__}, {page.pair[1].__name__}"])

    head = (texts / "index.md").read_text()
    listed = as_markdown(["method", "posterior and prior"], rows)
    (folder / "index.md").write_text(head + "\n" + listed + "\n")


def _split(text: str) -> tuple[str, str, str]:
    """Title, what the method is, and the rest."""
    title, _, rest = text.partition("\n")
    lead, _, rest = rest.partition("\n\n")
    return title, lead, rest.strip()


def _page(slug: str, page: MethodPage, title: str, lead: str, text: str) -> Iterator[str]:
    yield f"# {title}"
    yield linked(lead)
    yield pictures(
        f"../pictures/methods/{slug}", f"{title}: divergence, and error by weights left"
    )
    yield (
        "First the divergence of the posterior from the prior, then this method's networks "
        "among those of all methods on LeNet-300-100, where it was run."
    )
    yield "## Formula"
    yield definition(page.rule) or definition(page.formula)
    if page.formula:
        yield from formulas(page.formula)
    yield linked(text)
    yield from rows_of(page.results)
    yield "### Settings"
    yield from map(settings_of, page.results)
    yield "## Citation"
    yield bibtex(
        *page.others, *([page.rule] if page.rule.__module__.startswith("pyro_sparse.") else [])
    )
