"""The pages: every block of code runs, every law and method has its page, nothing is left out."""

import re
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser
from torch.distributions import kl

from docs.generate.docstrings import linked, prose, public_names
from docs.generate.laws import LAWS, write_laws
from docs.generate.methods import PAGES, write_methods
from docs.generate.reference import write_reference
from docs.generate.reports import REPORTS, write_reports
from docs.generate.results import merged, rows_of
from examples.lenet.methods import METHODS
from examples.support.table import as_markdown
from pyro_sparse import distributions
from pyro_sparse.guides import table as families
from pyro_sparse.prune import criterion
from tests.common import ROOT

DOCS = ROOT / "docs"
SYBIL = Sybil(parsers=[PythonCodeBlockParser()], pattern="*.md")

# Bases are described in the reference, and two systems of examples are no methods of ours.
BASES = {"Gate", "Smoothing"}
NOT_METHODS = {"dense", "dropout"}


def written(folder: str) -> list[Path]:
    return sorted(path for path in (DOCS / folder).glob("*.md") if path.stem != "index")


PROGRAMS = [*(DOCS / "pages").glob("*.md"), *written("laws"), *written("methods")]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The generated pages of laws, methods, results and packages."""
    folder = tmp_path_factory.mktemp("site")
    write_laws(DOCS / "laws", folder / "laws")
    write_methods(DOCS / "methods", folder / "methods")
    write_reference(folder / "reference")
    write_reports(folder / "results")
    return folder


@pytest.fixture
def registries(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a page registers is forgotten after it."""
    monkeypatch.setattr(kl, "_KL_REGISTRY", dict(kl._KL_REGISTRY))
    monkeypatch.setattr(families, "_TABLE", list(families._TABLE))
    monkeypatch.setattr(criterion, "_TABLE", list(criterion._TABLE))


@pytest.mark.usefixtures("registries")
@pytest.mark.parametrize("page", PROGRAMS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_code_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order and in one namespace, as a reader would paste it; trainings are cut short."""
    monkeypatch.chdir(tmp_path)
    copy = tmp_path / page.name
    copy.write_text(page.read_text().replace("epochs=30", "epochs=2"))

    document = SYBIL.parse(copy)
    document.namespace["__name__"] = "page"
    examples = list(document.examples())
    for example in examples:
        example.evaluate()

    fences = re.findall(r"^```python$", page.read_text(), re.MULTILINE)
    assert len(examples) == len(fences)


def test_every_block_says_its_language() -> None:
    for page in PROGRAMS:
        opening = re.findall(r"^```(.*)$", page.read_text(), re.MULTILINE)[::2]
        assert set(opening) <= {"python", "bash", "bibtex"}, page


def test_every_law_has_a_page() -> None:
    assert {page.law for page in LAWS.values()} == set(distributions.__all__) - BASES
    assert {path.stem for path in written("laws")} == set(LAWS)


def test_every_method_has_a_page() -> None:
    shown = {name for page in PAGES.values() for name in page.results}

    assert shown == set(METHODS) - NOT_METHODS
    assert {path.stem for path in written("methods")} == set(PAGES)


def test_pages_of_laws_and_methods_are_whole(site: Path) -> None:
    for page in [*site.glob("laws/*.md"), *site.glob("methods/*.md")]:
        text = page.read_text()
        if page.stem == "index":
            continue

        for part in ["## When to use it", "## When not", "-right.svg)", "```bibtex\n@misc{"]:
            assert part in text, (page.stem, part)
        assert re.search(r"\\[\[(]", text), f"{page.stem} has no formula"


def test_rows_come_from_the_results(site: Path) -> None:
    for (net, name), row in merged().items():
        pages = [slug for slug, page in PAGES.items() if name in page.results]
        for slug in pages:
            text = (site / "methods" / f"{slug}.md").read_text()
            assert f"{row['nonzeros']:,.0f}" in text, (net, name)


def test_what_was_not_run_is_named() -> None:
    run = {name for _, name in merged()}
    missing = [name for name in METHODS if name not in run]
    text = "\n".join(rows_of(missing)) if missing else ""

    assert all(METHODS[name].title in text for name in missing)


def test_the_reference_lists_every_public_name(site: Path) -> None:
    text = "\n".join(path.read_text() for path in site.glob("reference/*.md"))
    blocks = set(re.findall(r"^::: (\S+)$", text, re.MULTILINE))

    assert blocks == set(public_names().values())


def test_formulas_and_references_become_markdown() -> None:
    doc = """Sentence with :math:`x^2`.

.. math::
    a &= b \\\\
    c &= d

See `HardConcrete`, but not `other`.

References:
    | On Gates (Ito, 2020)
    | https://example.org/a

Example:
    >>> 1
    1
"""
    text = prose(doc)

    assert r"\(x^2\)" in text
    assert "\\[\n\\begin{align*}a &= b \\\\\nc &= d\\end{align*}\n\\]" in text
    assert "[`HardConcrete`][pyro_sparse.distributions.HardConcrete]" in text
    assert "`other`" in text
    assert "    - [On Gates](https://example.org/a) (Ito, 2020)" in text
    assert "\nExamples:\n" in text


def test_reports_bring_their_pictures_and_link_pages_only(site: Path) -> None:
    linked = {
        page: re.findall(
            r"\]\((?!https?:)([^)]+)\)", (site / "results" / f"{page}.md").read_text()
        )
        for page in REPORTS
    }

    assert any(path.endswith(".png") for path in linked["mnist"])
    for page, paths in linked.items():
        for path in paths:
            known = (site / "results" / path).is_file() or path == "../tutorials/index.md"
            assert known, (page, path)


def test_code_and_own_names_are_not_linked() -> None:
    assert linked("`fit`", {"fit"}) == "`fit`"
    assert linked("```python\n# `fit`\n```\n").count("[") == 0
    assert linked("`fit` here") == "[`fit`][pyro_sparse.infer.fit.fit] here"


def test_bars_in_cells_are_escaped() -> None:
    assert as_markdown(["a"], [["log |w|"]]) == "| a |\n| --- |\n| log \\|w\\| |"


def test_the_navigation_names_the_pages(site: Path) -> None:
    """Strict builds fail on what is missing or left out; this says so without a build."""
    listed = set(re.findall(r"(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    generated = {path.relative_to(site).as_posix() for path in site.rglob("*.md")}
    plain = {path.name for path in (DOCS / "pages").glob("*.md")}
    tutorials = {name for name in listed if name.startswith("tutorials/")}

    assert listed - tutorials == generated | plain
