"""The tutorials as notebooks: percent scripts, read and shortened, not executed."""

__all__ = ["ROOT", "SCRIPTS", "notebook", "program"]

from pathlib import Path

import jupytext
from nbformat import NotebookNode

ROOT = Path(__file__).parents[2]
SCRIPTS = {path.stem: path for path in sorted((ROOT / "examples" / "tutorials").glob("*.py"))}


def notebook(name: str, smoke: bool = False) -> NotebookNode:
    """A tutorial as a notebook without outputs.

    Args:
        name: Name of the tutorial.
        smoke: Whether the numbers of the cell tagged "parameters" are replaced by those that the
            cell names for a short run.
    """
    found = jupytext.read(SCRIPTS[name])
    for cell in found.cells:
        short = cell.metadata.pop("smoke", {})
        if smoke and short:
            cell.source = "\n".join(f"{key} = {value!r}" for key, value in short.items())
    return found


def program(name: str, smoke: bool = False) -> str:
    """The code of a tutorial, as one program.

    Args:
        name: Name of the tutorial.
        smoke: Whether the numbers are those of a short run.
    """
    cells = notebook(name, smoke).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "code")
