"""Which state of the code made a result."""

__all__ = ["commit", "short"]

import subprocess
from pathlib import Path

FOLDER = Path(__file__).parent


def commit() -> str | None:
    """The commit of the checkout, marked with + where files differ from it."""
    try:
        head, changes = (
            subprocess.run(["git", *words], cwd=FOLDER, capture_output=True, text=True, check=True)
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "-uno"])
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("+" if changes.stdout.strip() else "")


def short(commit: str | None) -> str:
    """The commit in brief; + marks a checkout with changes of its own."""
    return "unknown" if commit is None else commit[:10] + "+" * commit.endswith("+")
