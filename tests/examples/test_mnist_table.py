"""The table of the LeNets: seeds become medians, and marks are compared with what was reached."""

import json
from pathlib import Path
from typing import Any

from examples.lenet.published import Mark
from examples.mnist_table import collect, commands, mark_line, merge, section

MARK = Mark("lenet_300_100", True, 1.6, 9_560, "VIB")


def row(**changes: Any) -> dict[str, Any]:
    made = {
        "net": "lenet_300_100",
        "data": "mnist",
        "method": "l0",
        "title": "L0",
        "seed": 0,
        "structured": True,
        "error": 1.5,
        "best_error": 1.4,
        "train_error": 0.3,
        "architecture": "100-90-30",
        "nonzeros": 12_000,
        "compression": 22.2,
        "macs": 12_000,
        "seconds": 60.0,
        "epochs": 60,
        "seeds": 1,
        "commit": "0123456789ab",
    }
    return made | changes


def test_several_seeds_become_medians() -> None:
    rows = [
        row(error=e, nonzeros=n, architecture=f"{n}") for e, n in ((1.9, 5), (1.5, 7), (1.6, 9))
    ]

    merged = merge(rows)

    assert (merged["error"], merged["nonzeros"], merged["seeds"]) == (1.6, 7, 3)
    assert merged["architecture"] == "9"


def test_a_mark_is_reached_only_by_rows_of_its_kind() -> None:
    single = row(structured=False, error=1.0, nonzeros=10)

    assert mark_line(MARK, [single]).endswith("No row of this kind.")
    assert mark_line(MARK, [single, row(error=1.7)]).endswith("Not reached.")


def test_a_mark_names_the_nearest_rows() -> None:
    rows = [
        row(),
        row(title="small", error=1.9, nonzeros=9_000),
        row(title="large", nonzeros=20_000),
    ]

    text = mark_line(MARK, rows)

    assert "no more error: 12,000, L0 (1.50 %" in text
    assert "no more weights: 1.90 %, small" in text


def test_results_are_found_and_shown_beside_the_published(tmp_path: Path) -> None:
    for seed in (0, 1):
        (tmp_path / f"l0-{seed}.json").write_text(json.dumps(row(seed=seed)))

    ((key, methods),) = collect(tmp_path).items()
    text = section(*key, methods)

    # By the name that the method has now, whatever it had when it was trained.
    assert "| L0 hard concrete | 2 | 1.50 | 1.40 | 0.30 | 100-90-30 | 12,000 | 22.2 |" in text
    assert "1.4 %, 219-214-100, x 3.8" in text
    assert "Not run on this network: dense, binary dropout" in text


def test_random_labels_are_a_part_of_the_command() -> None:
    text = commands({("lenet_300_100", "mnist-random-0.5"): {"vd": [row(method="vd")]}})

    assert "--data mnist --random-labels 0.5 --method vd --seed 0 --epochs 60" in text


def test_shifted_images_have_a_table_of_their_own() -> None:
    data = "mnist-shift-1"
    rows = [row(data=data, error=1.5, nonzeros=9_000)]

    text = section("lenet_300_100", data, {"l0": rows})

    assert "shifted by at most 1 pixel" in text
    assert "no more error: 9,000, L0" in text
    assert "1.4 %, 219-214-100" not in text
    assert "--data mnist --shift 1 --method l0" in commands(
        {("lenet_300_100", data): {"l0": rows}}
    )
