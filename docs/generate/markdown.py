"""Small pieces of Markdown."""

__all__ = ["bibtex", "pictures"]

from typing import Any

from pyro_sparse import citations


def bibtex(*things: Any) -> str:
    """The citations of laws or methods as a block.

    Args:
        *things: What `pyro_sparse.citations` takes.
    """
    return f"```bibtex\n{citations(*things)}\n```"


def pictures(path: str, caption: str) -> str:
    """Two pictures beside each other, or below each other on a phone.

    Args:
        path: Of both, without "-left.svg" and "-right.svg".
        caption: What a reader is told who sees neither.
    """
    return " ".join(f"![{caption}]({path}-{side}.svg){{ .half }}" for side in ("left", "right"))
