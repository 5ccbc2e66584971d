"""Every tutorial runs, with the few steps its own parameters name, and the site shows it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from docs.generate.notebooks import SCRIPTS, notebook, program
from tests.common import ROOT

NAMES = sorted(SCRIPTS)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_smoke(name: str, tmp_path: Path) -> None:
    script = tmp_path / f"{name}.py"
    script.write_text(program(name, smoke=True))
    settings = {"PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"}

    done = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_a_short_run_is_named_in_one_cell(name: str) -> None:
    """It replaces the numbers of that cell, each of them, and nothing else."""
    full, short = notebook(name).cells, notebook(name, smoke=True).cells
    changed = [
        (a.source, b.source) for a, b in zip(full, short, strict=True) if a.source != b.source
    ]

    assert len(changed) == 1
    names = [[line.split(" = ")[0] for line in source.splitlines()] for source in changed[0]]
    assert names[0] == names[1]


@pytest.mark.parametrize("name", NAMES)
def test_a_tutorial_is_a_page(name: str) -> None:
    first = notebook(name).cells[0]

    assert first.cell_type == "markdown"
    assert first.source.startswith("# ")
    assert f"tutorials/{name}.md" in (ROOT / "mkdocs.yml").read_text()
