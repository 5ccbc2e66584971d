"""The README says what is true: its programs run, its commands exist, and it stays short."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.common import ROOT

README = (ROOT / "README.md").read_text()
LONGEST = 110


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    lines = "".join(blocks("(?:bash|sh|console)")).splitlines()
    lines = [line.split("#")[0].removeprefix("$ ").strip() for line in lines]
    return [line for line in lines if line]


def test_it_is_short() -> None:
    assert len(README.splitlines()) < LONGEST


def test_every_block_says_its_language() -> None:
    opening = re.findall(r"^```(.*)$", README, re.MULTILINE)[::2]

    assert opening
    assert set(opening) <= {"python", "bash", "text", "bibtex"}


def test_its_programs_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order and in one namespace, as a reader would paste them."""
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "readme"}
    programs = blocks("python")

    for number, program in enumerate(programs, 1):
        exec(compile(program, f"README.md, python block {number}", "exec"), namespace)

    assert programs


def test_its_commands_exist() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    found = commands()

    for command in found:
        program, *words = command.split()
        if program == "make":
            named = {word for word in words if "=" not in word}
            assert named <= targets, f"{command}: no such target in the Makefile"
        elif command.startswith("python -m "):
            module = words[1].replace(".", "/")
            assert (ROOT / f"{module}.py").is_file(), f"{command}: no such module"
        else:
            assert command.startswith(("pip install ", "git clone ", "cd ")), command

    assert {"make demo", "make test"} <= set(found)


def test_its_extras_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = ",".join(re.findall(r"\[([\w,]+)\]'", README)).split(",")

    assert set(named) - {""} <= set(project["optional-dependencies"])


def test_its_links_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", README)
    dead = [link for link in links if not (ROOT / link).exists()]

    assert not dead
