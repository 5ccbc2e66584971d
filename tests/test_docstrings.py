"""Docstrings: examples give the output printed beside them, and nothing public is left unsaid."""

import doctest
import importlib
import inspect
import pkgutil
import re
from typing import Any

import pyro
import pytest

import pyro_sparse
from pyro_sparse.citations import references

# Written in backticks, or in words.
SHAPE = re.compile(r"`\(.*?\)`|shape|scalar|broadcastable|than `\w+`|batch|`\[\d")

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

MODULES = ["pyro_sparse"] + [
    found.name for found in pkgutil.walk_packages(pyro_sparse.__path__, "pyro_sparse.")
]


@pytest.mark.parametrize("module", MODULES)
def test_examples_in_docstrings(module: str) -> None:
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    report: list[str] = []

    for example in doctest.DocTestFinder().find(importlib.import_module(module)):
        pyro.clear_param_store()
        pyro.set_rng_seed(0)
        runner.run(example, out=report.append)

    assert runner.failures == 0, "".join(report)


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    count = sum(
        len(found.examples)
        for module in MODULES
        for found in finder.find(importlib.import_module(module))
    )

    assert count > 0


def is_package(name: str) -> bool:
    return hasattr(importlib.import_module(name), "__path__")


PAGES = [
    "pyro_sparse",
    *(name for name in MODULES if name.count(".") == 1 and is_package(name)),
    "pyro_sparse.infer.schedules",
    "pyro_sparse.inspect.plots",
]


def documented() -> dict[str, Any]:
    """Public classes and functions by the path they are imported from."""
    found: dict[str, Any] = {}
    for page in PAGES:
        module = importlib.import_module(page)
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isclass(thing) or inspect.isfunction(thing):
                found.setdefault(f"{page.removeprefix('pyro_sparse.')}.{name}", thing)
    return found


PUBLIC = documented()

# Arguments that every law takes and torch explains, and those that are passed on unseen.
EVERYWHERE = {"self", "validate_args", "batch_shape", "event_shape", "args", "kwargs"}

# What comes from this package, and from no source that could be named.
OWN = {
    "graph": ["Plan", "Trace", "analyse"],
    "local": ["Deferred", "SecondUseError", "law_tensors", "mark_weight", "peel"],
    "local laws": ["with_law_tensors"],
    "nn": ["BayesianLayer", "GateSites", "Selector", "all_but", "bayesian_layers", "by_name"],
    "nn selectors": ["by_type", "gate_sites"],
    "guides": ["Family", "LawFamily", "Options", "PointFamily", "SiteSpec", "register_family"],
    "prune": ["Count", "auto", "by_role", "count", "load", "masks", "nonzero", "resolve", "save"],
    "prune tables": ["register_criterion", "to_sparse"],
    "infer": ["Parts", "Training", "fit", "global_draws", "lightning_module", "pareto", "sweep"],
    "infer errors": ["CheckpointWarning", "CompileWarning", "DivergedError", "UntraceableError"],
    "inspect": ["gate_table", "load_arviz", "report", "save_arviz"],
    "testing": ["LawCase", "RuleCase", "check_law", "check_rule", "expectation", "two_sided"],
    "package": ["citations"],
}


def arguments(thing: Any) -> dict[str, str]:
    """Names of the arguments that are its own to explain, and their annotations as text."""
    if inspect.isclass(thing) and issubclass(thing, Exception):
        return {}

    try:
        found = inspect.signature(thing).parameters.values()
    except ValueError:  # made by torch, not called by users
        return {}
    return {
        p.name: str(p.annotation) for p in found if p.name not in EVERYWHERE and p.name[0] != "_"
    }


def explained(thing: Any) -> dict[str, str]:
    """What the docstring says of each argument or attribute."""
    doc = inspect.getdoc(thing) or ""
    section = re.search(
        r"^(?:Args|Attributes):\n((?:[ \t]+\S.*\n?|\n)+)", doc + "\n", re.MULTILINE
    )
    entries = re.split(r"^ {4}\*{0,2}(?=\w+:)", section[1] if section else "", flags=re.MULTILINE)
    return {name: text for name, _, text in (entry.partition(":") for entry in entries)}


@pytest.mark.parametrize("name", PUBLIC)
def test_arguments_are_explained(name: str) -> None:
    """Each one, and none that there is not."""
    thing = PUBLIC[name]

    assert inspect.getdoc(thing)
    missing = set(arguments(thing)) - set(explained(thing))
    assert not missing, f"{name} says nothing of {missing}"


@pytest.mark.parametrize("name", PUBLIC)
def test_tensors_have_shapes(name: str) -> None:
    thing = PUBLIC[name]
    said = explained(thing)
    tensors = [
        argument
        for argument, annotation in arguments(thing).items()
        if re.fullmatch(
            r"<class 'torch.Tensor'>|torch\.Tensor( \| .*)?|Tensor( \| .*)?", annotation
        )
    ]

    without = [argument for argument in tensors if not SHAPE.search(said[argument])]
    assert not without, f"{name} gives no shape of {without}"


@pytest.mark.parametrize("name", PUBLIC)
def test_what_has_a_source_names_it(name: str) -> None:
    own = {name for names in OWN.values() for name in names}
    plain = name.rpartition(".")[2]
    package = name.rpartition(".")[0]

    named = bool(references(PUBLIC[name]))
    is_own = plain in own or package == "inspect.plots" or package == "infer.schedules"
    assert named or is_own, f"{name} names no source; is it one of our own?"


def test_the_list_of_our_own_is_not_too_long() -> None:
    own = {name for names in OWN.values() for name in names}
    plain = {name.rpartition(".")[2]: thing for name, thing in PUBLIC.items()}

    assert own <= set(plain)
    assert not [name for name in own if references(plain[name])]
