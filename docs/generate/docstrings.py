"""Docstrings as Markdown: formulas, examples, references, and links between public names."""

__all__ = ["definition", "first_sentence", "formulas", "linked", "prose", "public_names"]

import functools
import importlib
import inspect
import re
import sys
from collections.abc import Iterator, Set
from typing import Any

from pyro_sparse import Local
from pyro_sparse.citations import Reference, references

PACKAGES = (
    "distributions",
    "kl",
    "local",
    "nn",
    "guides",
    "prune",
    "infer",
    "infer.schedules",
    "inspect",
    "inspect.plots",
    "testing",
    "graph",
    "special",
)

BLOCK = re.compile(r"^(?P<indent> *)\.\. math::\n(?P<body>(?:(?P=indent) +\S.*\n|\s*\n)+)", re.M)
INLINE = re.compile(r":math:`([^`]+)`")
CODE = re.compile(r"^(?P<indent> *)\.\. code-block:: (?P<language>\w+)\n", re.M)
LITERAL = re.compile(r"(?<!:)::\n\n")
SECTION = re.compile(r"^References:\n(?:[ \t]+\S.*\n?|\n)+", re.M)
# Names that docstrings use of attributes of laws rather than of functions.
ATTRIBUTES = {"prob_active", "snr"}
FENCE = re.compile(r"(^```.*?^```$)", re.M | re.S)
QUOTED = re.compile(r"(?<![`\[])`([A-Za-z_][\w.]*)`(?!`)")


@functools.cache
def public_names() -> dict[str, str]:
    """Public names, plain and with their package, and the paths under which they are listed."""
    found = {"Local": "pyro_sparse.Local", "citations": _path("pyro_sparse", "citations")}
    paths = {id(Local): found["Local"]}
    for package in PACKAGES:
        module = importlib.import_module(f"pyro_sparse.{package}")
        for name in module.__all__:
            if callable(thing := getattr(module, name)):
                path = paths.setdefault(id(thing), _path(module.__name__, name))
                found.setdefault(name, path)
                found[f"{package}.{name}"] = path
    return found


def _path(package: str, name: str) -> str:
    """Where a name is read: in its module where that has the same name and hides it."""
    path = f"{package}.{name}"
    return f"{path}.{name}" if path in sys.modules else path


def prose(doc: str, own: Set[str] = frozenset()) -> str:
    """A docstring with its formulas, code blocks and references in Markdown.

    Args:
        doc: The docstring, without indentation.
        own: Names that mean something else here, such as those of arguments.
    """
    listed = "\n".join(f"    - {link(ref)}" for ref in references(doc))
    doc = SECTION.sub(lambda found: f"References:\n{listed}\n\n", doc + "\n")
    doc = BLOCK.sub(_displayed, doc)
    doc = INLINE.sub(lambda found: rf"\({found[1]}\)", doc)
    doc = CODE.sub("", doc)
    doc = LITERAL.sub(":\n\n", doc)
    doc = re.sub(r"^Example:$", "Examples:", doc, flags=re.M)
    return linked(doc, own)


def linked(text: str, own: Set[str] = frozenset()) -> str:
    """Markdown in which public names between backticks are links, but not in blocks of code.

    Args:
        text: The Markdown.
        own: Names that mean something else here.
    """
    parts = FENCE.split(text)
    parts[::2] = [QUOTED.sub(lambda found: _linked(found[1], own), part) for part in parts[::2]]
    return "".join(parts)


def link(reference: Reference) -> str:
    """One reference as a line with its link."""
    authors = ", ".join(reference.authors).replace(", others", " et al.")
    beside = ", ".join(text for text in (authors, reference.year, reference.note) if text)
    return f"[{reference.title}]({reference.url})" + (f" ({beside})" if beside else "")


def formulas(thing: Any) -> Iterator[str]:
    """The displayed formulas of a docstring and what says where their letters come from."""
    doc = (inspect.getdoc(thing) or "") + "\n"
    for found in BLOCK.finditer(doc):
        yield _displayed(found).strip()
        beside = doc[found.end() :].split("\n\n")[0]
        if beside.startswith("where "):
            yield prose(beside).strip()


def definition(thing: Any) -> str:
    """A docstring up to its references and arguments."""
    doc = SECTION.split(inspect.getdoc(thing) or "")[0].split("\nArgs:")[0]
    return prose(doc, {getattr(thing, "__name__", "")}).strip()


def first_sentence(thing: Any) -> str:
    """What a docstring says first, with links and formulas."""
    paragraph = (inspect.getdoc(thing) or "").split("\n\n")[0].split(".. math::")[0]
    return prose(paragraph, {getattr(thing, "__name__", "")}).strip().replace("\n", " ")


def _displayed(found: re.Match[str]) -> str:
    body = inspect.cleandoc(found["body"])
    if "&" in body or r"\\" in body:
        body = rf"\begin{{align*}}{body}\end{{align*}}"
    lines = ["", r"\[", *body.splitlines(), r"\]", ""]
    return "\n".join(found["indent"] + line if line else line for line in lines) + "\n"


def _linked(name: str, own: Set[str]) -> str:
    path = public_names().get(name.removeprefix("pyro_sparse."))
    return f"`{name}`" if path is None or name in own | ATTRIBUTES else f"[`{name}`][{path}]"
