"""Rows as a table, aligned or in Markdown."""

__all__ = ["as_markdown", "as_table"]

from collections.abc import Iterable, Sequence
from typing import Any


def as_table(rows: Sequence[dict[str, Any]]) -> str:
    """A table of rows with equal keys; numbers with four digits.

    Args:
        rows: The rows, at least one.
    """
    cells = [
        [f"{v:.4g}" if isinstance(v, float) else f"{v}" for v in row.values()] for row in rows
    ]
    lines = [list(rows[0]), *cells]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = ([c.ljust(w) for c, w in zip(line, widths, strict=True)] for line in lines)
    return "\n".join("  ".join(line).rstrip() for line in padded)


def as_markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown, one line a row.

    Args:
        head: Titles of the columns.
        rows: Their cells.
    """
    escaped = ([cell.replace("|", "\\|") for cell in row] for row in rows)
    lines = [head, ["---"] * len(head), *escaped]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
