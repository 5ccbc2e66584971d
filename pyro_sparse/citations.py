"""The papers behind a model, as BibTeX, read from the docstrings of the laws and rules it uses."""

__all__ = ["Reference", "citations", "references"]

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from types import ModuleType
from typing import Any

from pyro import poutine
from torch import nn
from torch.distributions import Distribution
from torch.distributions.kl import _dispatch_kl

from pyro_sparse.guides import AutoSparse
from pyro_sparse.local import peel
from pyro_sparse.prior import Prior

SECTION = re.compile(r"^References:\n((?:[ \t]+\S.*\n?|\n)+)", re.MULTILINE)
BAR = re.compile(r"^\s*\|", re.MULTILINE)  # keeps lines apart where the docstring is rendered
LINK = re.compile(r"(?P<text>.+?),? (?P<url>https?://\S+)")
PAPER = re.compile(r"(?P<title>.+) \((?P<authors>[^()]+), (?P<year>\d{4})\)(?:, (?P<note>.+))?")
SMALL = {"a", "an", "on", "the", "of", "is", "but", "yes", "it"}


@dataclass(frozen=True)
class Reference:
    r"""One source that a docstring names.

    Args:
        title: Title.
        url: Where it is to be read.
        authors: Family names in order; "others" stands for those not named.
        year: Year, or "".
        note: Which part is meant, or "".
    """

    title: str
    url: str
    authors: tuple[str, ...] = ()
    year: str = ""
    note: str = ""

    @property
    def key(self) -> str:
        r"""First author, year and first telling word of the title: `louizos2018learning`."""
        words = re.findall(r"[a-z0-9]+", self.title.lower())
        word = next(word for word in words if word not in SMALL)
        first = re.sub(r"[^a-z]", "", self.authors[0].lower()) if self.authors else ""
        return f"{first}{self.year}{word}"

    def bibtex(self, key: str | None = None) -> str:
        r"""The entry of a bibliography.

        Args:
            key: Its key instead of the usual one.
        """
        fields = {
            "title": f"{{{self.title}}}",
            "author": " and ".join(self.authors),
            "year": self.year,
            **_identifier(self.url),
            "url": self.url,
            "note": self.note,
        }
        lines = [f"  {name} = {{{value}}}" for name, value in fields.items() if value]
        return f"@misc{{{key or self.key},\n" + ",\n".join(lines) + "\n}"


def references(thing: Any) -> list[Reference]:
    r"""What the `References:` section of a docstring names, in its order.

    Args:
        thing: A class, a function or a docstring.

    Raises:
        ValueError: The section is not a list of titles with their links.

    Example:
        >>> from pyro_sparse.distributions import HardNormal
        >>> references(HardNormal)[0].authors
        ('Yamada', 'Lindenbaum', 'Negahban', 'Kluger')
    """
    doc = inspect.cleandoc(thing) if isinstance(thing, str) else inspect.getdoc(thing) or ""
    section = SECTION.search(doc + "\n")
    if section is None:
        return []

    text = " ".join(BAR.sub("", section[1]).split())
    found = [_reference(link["text"].strip(), link["url"]) for link in LINK.finditer(text)]
    if not found or LINK.sub("", text).strip():
        raise ValueError(
            f"References are titles, (authors, year) and links one after another, got: {text}"
        )
    return found


def citations(*things: Any, example: tuple | None = None) -> str:
    r"""BibTeX of the papers behind laws, divergences, guides and whole models.

    Of a network made by `bayesianize`, or a model around one, the priors are looked at; of an
    `AutoSparse` guide the priors, the posterior laws and the divergences between them. Anything
    else with a docstring of ours contributes what its docstring names: `Budget`, a criterion,
    `TraceSparse_ELBO`. The entries are sorted by key, and none comes twice.

    Args:
        *things: Models, guides, laws, classes and functions, in any order.
        example: Arguments of a hand-written model and guide, which are run once to see their
            laws: `citations(model, guide, example=(x, y))`.

    Raises:
        TypeError: A thing can be neither looked into nor read about.

    Example:
        >>> from pyro_sparse.distributions import HardNormal
        >>> print(citations(HardNormal))
        @misc{yamada2020feature,
          title = {{Feature Selection using Stochastic Gates}},
          author = {Yamada and Lindenbaum and Negahban and Kluger},
          year = {2020},
          eprint = {1810.04247},
          archiveprefix = {arXiv},
          url = {https://arxiv.org/abs/1810.04247}
        }
    """
    parts = _run(*things, example=example) if example is not None else map(_parts, things)
    documented = dict.fromkeys(chain.from_iterable(parts))
    found = {ref.title.lower(): ref for thing in documented for ref in references(thing)}

    entries: dict[str, str] = {}
    for ref in sorted(found.values(), key=lambda ref: (ref.key, ref.title)):
        key = _free(ref.key, entries)
        entries[key] = ref.bibtex(key)
    return "\n\n".join(entries.values())


def _reference(text: str, url: str) -> Reference:
    paper = PAPER.fullmatch(text)
    if paper is None:
        return Reference(text, url)

    names = re.sub(r" et al\.?$", ", others", paper["authors"]).replace(" and ", ", ")
    authors = tuple(name for name in names.split(", ") if name)
    return Reference(paper["title"], url, authors, paper["year"], paper["note"] or "")


def _identifier(url: str) -> dict[str, str]:
    if "arxiv.org/abs/" in url:
        return {"eprint": url.rpartition("/abs/")[2], "archiveprefix": "arXiv"}
    return {"doi": url.partition("doi.org/")[2]}


def _free(key: str, taken: dict[str, str]) -> str:
    letters = ("", *"bcdefghij")
    return next(key + letter for letter in letters if key + letter not in taken)


def _parts(thing: Any) -> Iterator[Any]:
    """Everything about a thing that has a docstring of its own."""
    if isinstance(thing, Distribution):
        yield from _of_law(thing)
    elif isinstance(thing, AutoSparse):
        yield type(thing)
        yield from _of_pairs(thing.laws(), thing.priors())
    elif isinstance(thing, nn.Module) and (priors := list(_priors(thing))):
        for prior in priors:
            yield from _of_law(prior)
    else:
        yield _described(thing)


def _of_law(law: Distribution) -> Iterator[Any]:
    yield from _own(type(law))
    for inner in vars(law).values():
        if isinstance(inner, Distribution):
            yield from _of_law(inner)


def _own(documented: Any) -> list[Any]:
    """What torch and Pyro document is theirs, and laid out in another way."""
    return [] if documented.__module__.split(".")[0] in ("torch", "pyro") else [documented]


def _of_pairs(laws: dict[str, Any], priors: dict[str, Any]) -> Iterator[Any]:
    for name, law in laws.items():
        yield from _of_law(law)
        yield from _of_law(priors[name])
        rule = _dispatch_kl(type(peel(law)), type(peel(priors[name])))
        if rule is not NotImplemented:
            yield from _own(rule)


def _priors(module: nn.Module) -> Iterator[Distribution]:
    return (child.base for child in module.modules() if isinstance(child, Prior))


def _described(thing: Any) -> Any:
    found = thing if inspect.isclass(thing) or inspect.isroutine(thing) else type(thing)
    ours = found.__module__.startswith("pyro_sparse.") and not isinstance(thing, ModuleType)
    if not ours and not references(found):
        raise TypeError(
            "citations looks into models made by bayesianize, AutoSparse guides, laws, and "
            f"whatever of pyro_sparse has a docstring, got {thing!r}. Give a hand-written model "
            "and its guide with arguments to run them on: citations(model, guide, example=(x,))."
        )
    return found


def _run(*things: Any, example: tuple) -> Iterator[Iterator[Any]]:
    if len(things) != 2 or any(isinstance(thing, Distribution) for thing in things):
        raise TypeError(
            f"With an example, citations takes a model and its guide, got {things!r}. "
            "Ask for the others in a call of their own."
        )

    model, guide = things
    drawn = poutine.trace(guide).get_trace(*example)
    stated = poutine.trace(poutine.replay(model, trace=drawn)).get_trace(*example)

    sites = {name: site["fn"] for name, site in drawn.nodes.items() if site["type"] == "sample"}
    laws = {name: law for name, law in sites.items() if name in stated}
    yield _of_pairs(laws, {name: stated.nodes[name]["fn"] for name in laws})
