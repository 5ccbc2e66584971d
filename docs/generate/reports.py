"""The pages of results: the reports that the examples write beside their numbers."""

__all__ = ["REPORTS", "write_reports"]

import os
import re
import shutil
from pathlib import Path

from docs.generate.docstrings import linked
from docs.generate.notebooks import ROOT

REPORTS = {
    "index": "examples/README.md",
    "mnist": "examples/results/mnist/README.md",
    "cifar": "examples/results/cifar/README.md",
    "sizes": "examples/results/sweep/README.md",
    "benchmarks": "examples/benchmarks/README.md",
}
PAGES = {ROOT / report: f"{page}.md" for page, report in REPORTS.items()} | {
    ROOT / "examples/tutorials": "../tutorials/index.md"
}
# Programs that are named as functions are.
PROGRAMS = {path.stem for path in (ROOT / "examples").glob("*.py")}
LINK = re.compile(r"(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?!https?:)(?P<path>[^)#]+)\)")


def write_reports(folder: Path) -> None:
    """Writes a page for each report, with its pictures.

    Args:
        folder: Where the pages go.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for page, report in REPORTS.items():
        (folder / f"{page}.md").write_text(_page(ROOT / report, folder))


def _page(report: Path, folder: Path) -> str:
    def moved(found: re.Match[str]) -> str:
        target = Path(os.path.normpath(report.parent / found["path"]))
        if found["picture"]:
            shutil.copy(target, folder / _flat(target))
            return f"![{found['text']}]({_flat(target)}){{ .wide }}"
        if target in PAGES:
            return f"[{found['text']}]({PAGES[target]})"
        return f"{found['text']} (`{target.relative_to(ROOT)}`)"

    return linked(LINK.sub(moved, report.read_text()), PROGRAMS)


def _flat(picture: Path) -> str:
    """A name that no picture of another report has."""
    return "-".join(picture.relative_to(ROOT / "examples").parts)
