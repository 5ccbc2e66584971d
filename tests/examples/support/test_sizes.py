"""The page of a sweep: medians of seeds, and a part of another page."""

import json
from pathlib import Path
from typing import Any

from examples.support.sizes import BEGIN, END, write_pages


def row(kind: str, seed: int, size: float, error: float, **more: Any) -> dict[str, Any]:
    return {
        "kind": kind,
        "target %": 10.0,
        "seed": seed,
        "penalty": 0.5 if kind == "penalty" else None,
        "weights %": size,
        "MACs %": size,
        "error %": error,
        "architecture": f"{seed}-1",
        **more,
    }


ROWS = [
    row("weights", 0, 9.9, 3.0),
    row("weights", 1, 9.8, 1.0),
    row("weights", 2, 10.0, 2.0),
    row("macs", 0, 9.5, 2.5),
    row("penalty", 0, 10.4, 4.0, trainings=3),
]


def test_the_pages_of_a_sweep(tmp_path: Path) -> None:
    found = {"settings": {"epochs": 2}, "rows": ROWS}
    (tmp_path / "sweep.json").write_text(json.dumps(found))
    other = tmp_path / "OTHER.md"
    other.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")

    write_pages(tmp_path, other)

    page, part = (tmp_path / "README.md").read_text(), other.read_text()
    median = "| 10.00 | Budget(weights=0.1) | 1 | 9.90 | -2.00 | 2.00 | 1.00 to 3.00 | 2-1 |"
    tuned = "| 10.00 | L0(0.5 a weight), tuned | 3 | 10.40 | 4.00 | 4.00 | 4.00 to 4.00 | 0-1 |"
    assert "epochs 2" in page and "Budget(macs=0.1)" in page
    assert all(line in page and line in part for line in (median, tuned))
    assert part.startswith("before\n") and part.endswith("after\n") and "old" not in part
    assert (tmp_path / "sweep.png").exists()
