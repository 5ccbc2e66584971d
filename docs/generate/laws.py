"""The pages of the laws: definition, picture, when and when not, divergences, results."""

__all__ = ["LAWS", "LawPage", "write_laws"]

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torch.distributions import Distribution, kl

from docs.generate.docstrings import definition, first_sentence, linked
from docs.generate.markdown import bibtex, pictures
from docs.generate.results import rows_of
from examples.support.table import as_markdown
from pyro_sparse import distributions


@dataclass(frozen=True)
class LawPage:
    """What is known of a page beside its texts.

    Attributes:
        law: Name of the law.
        methods: The methods of `examples.mnist` that rest on it.
    """

    law: str
    methods: tuple[str, ...] = ()


GATED = ("l0", "l0_sep", "budget")
MIXED = ("mdr_exp", "mdr_uniform", "mdr_power", "budget_mdr")

LAWS = {
    "hard_concrete": LawPage("HardConcrete", (*GATED, "spike_slab")),
    "hard_normal": LawPage("HardNormal", ("stg",)),
    "rectified": LawPage("Rectified", (*GATED, "stg")),
    "mixture_gate": LawPage("MixtureGate", MIXED),
    "truncated_exponential": LawPage("TruncatedExponential", ("mdr_exp",)),
    "uniform_exponential": LawPage("UniformExponential", ("mdr_uniform",)),
    "power_function": LawPage("PowerFunction", ("mdr_power", "budget_mdr")),
    "mirrored": LawPage("Mirrored", MIXED),
    "l0": LawPage("L0", (*GATED, *MIXED, "stg")),
    "l2": LawPage("L2", ("dense", *GATED, "stg")),
    "log_uniform": LawPage("LogUniform", ("vd", "vd_budget", "gnj")),
    "empirical_normal": LawPage("EmpiricalNormal", ("ebvd", "vib", "vib_budget")),
    "group_gaussian_mixture": LawPage("GroupGaussianMixture", ("mixture_em",)),
    "truncated_log_normal": LawPage("TruncatedLogNormal", ("sbp", "sbp_small")),
    "truncated_log_uniform": LawPage("TruncatedLogUniform", ("sbp", "sbp_small")),
}


def write_laws(texts: Path, folder: Path) -> None:
    """Writes a page for each law, and their index.

    Args:
        texts: The folder with what is written by hand, a file a law.
        folder: Where the pages go.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for slug, page in LAWS.items():
        text = (texts / f"{slug}.md").read_text()
        (folder / f"{slug}.md").write_text("\n\n".join(_page(slug, page, text)) + "\n")

    rows = [
        [f"[`{page.law}`]({slug}.md)", first_sentence(getattr(distributions, page.law))]
        for slug, page in LAWS.items()
    ]
    head = (texts / "index.md").read_text()
    (folder / "index.md").write_text(head + "\n" + as_markdown(["law", "what it is"], rows) + "\n")


def _page(slug: str, page: LawPage, text: str) -> Iterator[str]:
    law = getattr(distributions, page.law)
    caption, _, text = text.partition("\n\n")

    yield f"# {page.law}"
    yield definition(law)
    yield pictures(f"../pictures/laws/{slug}", caption)
    yield linked(caption)
    yield linked(text.strip(), {page.law})
    yield "## Divergences"
    yield _divergences(law)
    yield from rows_of(page.methods)
    yield "## Reference and citation"
    yield f"Arguments and shapes: [`{page.law}`][pyro_sparse.distributions.{page.law}]."
    yield bibtex(law)


def _divergences(law: type) -> str:
    """The pairs of laws with a rule of ours that this law is in, or is of the kind of."""
    pairs = [
        (q, p)
        for (q, p), rule in sorted(kl._KL_REGISTRY.items(), key=str)
        if rule.__module__.startswith("pyro_sparse.kl")
        and (issubclass(law, p) or (issubclass(law, q) and q is not Distribution))
    ]
    if not pairs:
        return "None of its own: it is a part of other laws."

    lines = [
        f"- [`{q.__name__}` from `{p.__name__}`](../reference/kl.md#{q.__name__}-{p.__name__})"
        for q, p in pairs
    ]
    return "\n".join(lines)
