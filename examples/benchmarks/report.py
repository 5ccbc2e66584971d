"""The README of the benchmarks: each question with its command, machine and result."""

__all__ = ["HERE", "QUESTIONS", "write_report"]

import ast
import json
import shlex
from pathlib import Path
from typing import Any

from examples.benchmarks.pictures import draw_step_time, draw_time_to_error
from examples.support.table import as_markdown

HERE = Path(__file__).parent
QUESTIONS = (
    "step_time",
    "step_memory",
    "architecture_step",
    "architecture_memory",
    "attention_step",
    "gate_sampling",
    "prediction",
    "prediction_memory",
    "compact_latency",
    "time_to_error",
)
CROSSED = {"step_time": ("ratio", "ms"), "step_memory": ("ratio", "MiB")}
PICTURES = {"step_time": draw_step_time, "time_to_error": draw_time_to_error}

HEAD = """# Benchmarks

Written by `python -m examples.benchmarks.run report` from the JSON files in `results/`. Contenders
take turns in one process, so that a noisy machine is noisy for all: look at the ratios. Where a
file of results is missing, the question was not run.
"""


def write_report() -> None:
    """Writes the README and draws the pictures, from the results that are there."""
    parts = [HEAD]
    for name in QUESTIONS:
        parts.append(f"## {question(name)}\n\n{told(name)}\n")
        file = HERE / "results" / f"{name}.json"
        parts.append(answer(name, json.loads(file.read_text())) if file.exists() else "Not run.\n")
    (HERE / "README.md").write_text("\n".join(parts))


def question(name: str) -> str:
    """The first line of a benchmark's docstring."""
    return _docstring(name).splitlines()[0]


def told(name: str) -> str:
    """The rest of a benchmark's docstring, without its command."""
    return _docstring(name).split("\n\n", 1)[1].split("\n\n    python")[0]


def answer(name: str, result: dict[str, Any]) -> str:
    """Command, machine and tables of one result."""
    settings = dict(result["settings"])
    on = ", ".join(f"{key} {settings.pop(key)}" for key in _MACHINE if key in settings)
    options = "".join(f" {_option(key, value)}" for key, value in settings.items())
    lines = [f"    python -m examples.benchmarks.run {name}{options}\n", f"On {on}.\n"]

    for rows in (value for key, value in result.items() if key != "settings"):
        lines += [as_page(table) + "\n" for table in _tables(name, rows)]
    if name in PICTURES:
        PICTURES[name](result["rows"], HERE / "results" / f"{name}.png")
        lines.append(f"![{question(name)}](results/{name}.png)\n")
    return "\n".join(lines)


def as_page(rows: list[dict[str, Any]]) -> str:
    """A table of rows; a cell is empty where a row lacks the key."""
    keys = [key for key in dict.fromkeys(k for row in rows for k in row) if key != "curve"]
    return as_markdown(keys, [[_cell(row.get(key)) for key in keys] for row in rows])


def _tables(name: str, rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The rows; or one line a contender and one column a setting, for each kind of number."""
    if name not in CROSSED:
        return [rows]

    tables = []
    for number in CROSSED[name]:
        lines: dict[str, dict[str, Any]] = {}
        for row in rows:
            line = lines.setdefault(row["contender"], {number: row["contender"]})
            line[f"batch {row['batch']}, width {row['width']}"] = row[number]
        tables.append(list(lines.values()))
    return tables


def _option(key: str, value: Any) -> str:
    if isinstance(value, list):
        value = shlex.join(str(item) for item in value)
    return f"--{key}" if value is True else f"--{key} {value}"


_MACHINE = ("device", "threads", "torch", "python", "commit")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3g}" if value < 1e3 else f"{value:.0f}"
    return f"{value}"


def _docstring(name: str) -> str:
    text = ast.get_docstring(ast.parse((HERE / f"{name}.py").read_text()))
    assert text is not None
    return text
