"""Every example in a docstring gives the output printed beside it."""

import doctest
import importlib
import pkgutil

import pyro
import pytest

import pyro_sparse

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
