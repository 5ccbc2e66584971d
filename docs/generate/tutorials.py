"""The tutorials: percent scripts, executed as notebooks, shown as pages.

    python -m docs.generate.tutorials [--only NAME ...]

executes what changed since it was executed last, and leaves notebooks in build/notebooks. Pages
show a notebook's outputs if it was executed as the script stands.
"""

__all__ = ["write_tutorials"]

import argparse
import os
import resource
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbconvert import MarkdownExporter
from nbconvert.preprocessors import CoalesceStreamsPreprocessor
from nbformat import NotebookNode

from docs.generate.docstrings import linked
from docs.generate.notebooks import ROOT, notebook

EXECUTED = ROOT / "build" / "notebooks"

ORDER = (
    "first_network",
    "by_hand",
    "choose_a_size",
    "look_with_arviz",
    "take_it_home",
    "feature_selection",
    "several_gpus",
)
LIMIT = 600  # seconds for a cell


def write_tutorials(folder: Path) -> None:
    """Writes the pages of the tutorials and their index, with notebooks to download.

    Args:
        folder: Where they go.
    """
    folder.mkdir(parents=True, exist_ok=True)
    entries: list[str] = []
    for name in ORDER:
        shown, _ = CoalesceStreamsPreprocessor().preprocess(_executed(name) or notebook(name), {})
        shown.metadata.pop("jupytext", None)
        shown.metadata.setdefault("language_info", {"name": "python"})
        nbformat.write(shown, folder / f"{name}.ipynb")

        text, resources = MarkdownExporter().from_notebook_node(
            shown, {"output_files_dir": name, "unique_key": name}
        )
        for file, data in resources["outputs"].items():
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_bytes(data)

        title, _, body = text.strip().partition("\n")
        (folder / f"{name}.md").write_text(f"{title}\n\n{_note(name, shown)}\n{linked(body)}\n")
        about = " ".join(body.strip().split("\n\n")[0].splitlines())
        entries.append(f"{len(entries) + 1}. [{title.removeprefix('# ')}]({name}.md). {about}")

    (folder / "index.md").write_text(linked("\n".join([INDEX, *entries])) + "\n")


INDEX = """# Tutorials

Each is a script in `examples/tutorials` that runs as it stands, and a notebook to download. All
data come with scikit-learn.

"""


def _note(name: str, shown: NotebookNode) -> str:
    took = shown.metadata.get("seconds")
    how = f"{took:.0f} seconds of processor time" if took else "not executed for these pages"
    return f"*[Notebook]({name}.ipynb), {how}. Script: `examples/tutorials/{name}.py`.*\n"


def _executed(name: str) -> NotebookNode | None:
    """The notebook with outputs, if it was executed as the script stands."""
    path = EXECUTED / f"{name}.ipynb"
    if not path.is_file():
        return None

    found = nbformat.read(path, as_version=4)
    return found if _sources(found) == _sources(notebook(name)) else None


def _sources(found: NotebookNode) -> list[str]:
    return [cell.source for cell in found.cells]


def _processor_time() -> float:
    """Of all programs started from here that have ended: a busy machine does not change it."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def execute(name: str) -> NotebookNode:
    """Runs a tutorial and keeps its outputs.

    Args:
        name: Name of the tutorial.
    """
    found = notebook(name)
    start = _processor_time()
    NotebookClient(found, timeout=LIMIT, resources={"metadata": {"path": str(ROOT)}}).execute()

    found.metadata["seconds"] = _processor_time() - start
    EXECUTED.mkdir(parents=True, exist_ok=True)
    nbformat.write(found, EXECUTED / f"{name}.ipynb")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=ORDER, default=ORDER)
    args = parser.parse_args()

    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    for name in args.only:
        done = _executed(name) or execute(name)
        print(f"{name}: {done.metadata['seconds']:.0f} seconds", flush=True)


if __name__ == "__main__":
    main()
