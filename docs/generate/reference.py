"""The API reference: one page a package, straight from the docstrings."""

__all__ = ["write_reference"]

import functools
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import griffe
from torch.distributions import kl

from docs.generate.docstrings import first_sentence, linked, prose, public_names
from examples.support.table import as_markdown

PAGES = {
    "pyro_sparse": ["pyro_sparse"],
    "distributions": ["pyro_sparse.distributions"],
    "kl": ["pyro_sparse.kl"],
    "local": ["pyro_sparse.local"],
    "nn": ["pyro_sparse.nn"],
    "guides": ["pyro_sparse.guides"],
    "prune": ["pyro_sparse.prune"],
    "infer": ["pyro_sparse.infer", "pyro_sparse.infer.schedules"],
    "inspect": ["pyro_sparse.inspect", "pyro_sparse.inspect.plots"],
    "testing": ["pyro_sparse.testing"],
    "graph": ["pyro_sparse.graph"],
    "special": ["pyro_sparse.special"],
}


def write_reference(folder: Path) -> None:
    """Writes the pages of the reference.

    Args:
        folder: Where they go.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for page, names in PAGES.items():
        modules = [importlib.import_module(name) for name in names]
        parts = [part for module in modules for part in _package(module)]
        rules = ["## Rules", *_rules()] if page == "kl" else []
        (folder / f"{page}.md").write_text("\n\n".join([*parts, *rules]) + "\n")

    rows = [
        [f"[`{names[0]}`]({page}.md)", first_sentence(importlib.import_module(names[0]))]
        for page, names in PAGES.items()
    ]
    text = [
        "# Reference",
        "Everything public, package by package.",
        as_markdown(["package", "what it holds"], rows),
    ]
    (folder / "index.md").write_text("\n\n".join(text) + "\n")


def _package(module: ModuleType) -> Iterator[str]:
    level = "#" if module.__name__.count(".") < 2 else "##"
    yield f"{level} {module.__name__}"
    yield prose(inspect.getdoc(module) or "").strip()

    listed = {name: getattr(module, name) for name in module.__all__}
    shown = {name: thing for name, thing in listed.items() if callable(thing)}
    if shown:
        rows = [[f"[`{name}`][{_path(module, name)}]", _about(module, name)] for name in shown]
        yield as_markdown(["name", "what it is"], rows)

    for name in shown:
        if (path := _path(module, name)).startswith(f"{module.__name__}."):
            yield f"::: {path}"


def _about(module: ModuleType, name: str) -> str:
    """What a name is; of values and aliases, what stands below them in the source."""
    thing = getattr(module, name)
    if inspect.isclass(thing) or inspect.isroutine(thing):
        return first_sentence(thing)

    found = sources()[f"{module.__name__}.{name}".removeprefix("pyro_sparse.")].docstring
    return linked(found.value.split("\n\n")[0].replace("\n", " ")) if found else ""


@functools.cache
def sources() -> griffe.Object | griffe.Alias:
    """The package as it is written."""
    return griffe.load("pyro_sparse", resolve_aliases=True)


def _path(module: ModuleType, name: str) -> str:
    return public_names()[f"{module.__name__}.{name}".removeprefix("pyro_sparse.")]


def _rules() -> Iterator[str]:
    """The divergences that the package registers, by their laws."""
    for (q, p), rule in sorted(kl._KL_REGISTRY.items(), key=str):
        if rule.__module__.startswith("pyro_sparse."):
            yield f"### {q.__name__}, {p.__name__} {{ #{q.__name__}-{p.__name__} }}"
            yield _listed(prose(inspect.getdoc(rule) or "")).strip()


def _listed(doc: str) -> str:
    """References as a list of their own, outside of mkdocstrings, which knows the section."""
    head, _, tail = doc.partition("References:\n")
    return head + "References:\n\n" + inspect.cleandoc("\n" + tail) if tail else doc
