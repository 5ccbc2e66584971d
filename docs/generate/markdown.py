"""Small pieces of Markdown."""

__all__ = ["bibtex", "table"]

from collections.abc import Iterable
from typing import Any

from pyro_sparse import citations


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """A table with one line a row.

    Args:
        head: Titles of the columns.
        rows: Their cells.
    """
    escaped = ([cell.replace("|", "\\|") for cell in row] for row in rows)
    lines = [head, ["---"] * len(head), *escaped]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def bibtex(*things: Any) -> str:
    """The citations of laws or methods as a block.

    Args:
        *things: What `pyro_sparse.citations` takes.
    """
    return f"```bibtex\n{citations(*things)}\n```"
