"""The references of every docstring can be read, and models give the papers they rest on."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable

import pyro
import pytest
import torch
from pyro.distributions import HalfCauchy, Normal
from torch import Tensor, nn

import pyro_sparse
from pyro_sparse import Local, citations
from pyro_sparse.citations import Reference, references
from pyro_sparse.distributions import L0, EmpiricalNormal, HardConcrete, LogUniform
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import Budget
from pyro_sparse.nn import Classifier, bayesianize

MODULES = [found.name for found in pkgutil.walk_packages(pyro_sparse.__path__, "pyro_sparse.")]

DOCUMENTED = {
    f"{module}.{name}": thing
    for module in MODULES
    for name, thing in vars(importlib.import_module(module)).items()
    if (inspect.isclass(thing) or inspect.isfunction(thing)) and thing.__module__ == module
}


def keys(bibtex: str) -> list[str]:
    return re.findall(r"^@misc\{(.+),$", bibtex, re.MULTILINE)


def linear(**laws: object) -> nn.Module:
    return bayesianize(nn.Linear(3, 2), **laws)  # type: ignore[arg-type]


def test_every_section_can_be_read() -> None:
    sections = {
        name: thing
        for name, thing in DOCUMENTED.items()
        if "\nReferences:\n" in (inspect.getdoc(thing) or "")
    }
    unread = [name for name, thing in sections.items() if not references(thing)]

    assert not unread
    assert len(sections) > 40


def test_one_paper_has_one_name() -> None:
    """A title spelled in two ways, or with two links, would be listed twice."""
    found = [ref for thing in DOCUMENTED.values() for ref in references(thing) if ref.authors]
    titles = {(ref.title, ref.authors, ref.url) for ref in found}

    assert len({title.lower() for title, *_ in titles}) == len(titles)
    assert len({url for *_, url in titles}) == len(titles)


def test_the_parts_of_a_reference() -> None:
    text = """Sentence.

    References:
        | log(1 - exp(-|a|)) (Maechler, 2012), section 2,
        | https://example.org/a
        Two-Player Games (Cotter, Jiang, Sridharan et al., 2019) https://arxiv.org/abs/1804.06500
        A Handbook, 7.2, https://doi.org/10.1/x

    Args:
        x: number.
    """
    assert references(text) == [
        Reference(
            "log(1 - exp(-|a|))", "https://example.org/a", ("Maechler",), "2012", "section 2"
        ),
        Reference(
            "Two-Player Games",
            "https://arxiv.org/abs/1804.06500",
            ("Cotter", "Jiang", "Sridharan", "others"),
            "2019",
        ),
        Reference("A Handbook, 7.2", "https://doi.org/10.1/x"),
    ]


def test_text_that_is_no_reference_is_refused() -> None:
    with pytest.raises(ValueError, match="titles"):
        references("x.\n\nReferences:\n    A paper without a link.\n")


def test_an_entry() -> None:
    reference = Reference(
        "On a Law", "https://doi.org/10.1/x", ("van Beek", "Ito"), "2020", "eq. 3"
    )

    assert reference.bibtex() == (
        "@misc{vanbeek2020law,\n"
        "  title = {{On a Law}},\n"
        "  author = {van Beek and Ito},\n"
        "  year = {2020},\n"
        "  doi = {10.1/x},\n"
        "  url = {https://doi.org/10.1/x},\n"
        "  note = {eq. 3}\n"
        "}"
    )


@pytest.mark.parametrize(
    ("thing", "expected"),
    [
        (LogUniform, ["molchanov2017variational"]),
        (LogUniform(), ["molchanov2017variational"]),
        (L0(1.0).expand([3]).to_event(1), ["louizos2018learning"]),
        (HardConcrete(logits=0.0), ["louizos2018learning", "maddison2017concrete"]),
        (linear(weight=EmpiricalNormal()), ["dai2018compressing", "kharitonov2018variational"]),
        (Classifier(linear(gate=L0(1.0)), 10), ["louizos2018learning"]),
        (
            Budget(weights=0.1),
            ["cotter2019two", "gallegoposada2022controlled", "sohrabi2024pi"],
        ),
        (Normal(0.0, 1.0), []),
    ],
    ids=str,
)
def test_what_things_rest_on(thing: object, expected: list[str]) -> None:
    assert keys(citations(thing)) == expected


def test_a_guide_rests_on_its_divergences_too() -> None:
    """That of half-Cauchy scales is ours, the laws are Pyro's."""
    model = linear(weight=Normal(0.0, 1.0), gate=HalfCauchy(1.0))

    assert keys(citations(model)) == []
    assert "louizos2017bayesian" in keys(citations(AutoSparse(model)))


def test_nothing_comes_twice() -> None:
    both = citations(LogUniform, LogUniform(), linear(weight=LogUniform()))

    assert both == citations(LogUniform)


def by_hand(x: Tensor) -> None:
    z = pyro.sample("z", L0(1.0).expand([3]).to_event(1))
    w = pyro.sample("w", LogUniform().expand([3]).to_event(1))
    pyro.sample("y", Normal(x @ (z * w), 1.0).to_event(1), obs=torch.zeros(2))


def its_guide(x: Tensor) -> None:
    pyro.sample("z", Local(HardConcrete(logits=torch.zeros(3))).to_event(1))
    pyro.sample("w", Local(Normal(torch.zeros(3), 1.0)).to_event(1))


def test_programs_by_hand_are_run() -> None:
    found = keys(citations(by_hand, its_guide, example=(torch.ones(2, 3),)))

    assert found == [
        "hron2017variational",
        "kingma2015variational",
        "louizos2018learning",
        "maddison2017concrete",
        "molchanov2017variational",
    ]


def test_different_papers_with_equal_keys_stay_apart() -> None:
    def first() -> None:
        """Two papers.

        References:
            On Gates (Ito, 2020), https://example.org/a
            Gates Again (Ito, 2020), https://example.org/b
        """

    assert keys(citations(first)) == ["ito2020gates", "ito2020gatesb"]


@pytest.mark.parametrize("thing", [by_hand, 3, nn.Linear(2, 2), torch])
def test_what_cannot_be_read_is_refused(thing: object) -> None:
    with pytest.raises(TypeError, match="example="):
        citations(thing)


@pytest.mark.parametrize("things", [(by_hand,), (by_hand, LogUniform())])
def test_an_example_wants_a_pair(things: tuple[Callable, ...]) -> None:
    with pytest.raises(TypeError, match="a model and its guide"):
        citations(*things, example=(torch.ones(2, 3),))
