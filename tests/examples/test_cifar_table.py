"""The table of CIFAR: rows in order, shares of the dense network, commands to repeat."""

import json
from pathlib import Path
from typing import Any

from examples.cifar_table import collect, command, line, page


def row(**changes: Any) -> dict[str, Any]:
    made = {
        "net": "resnet20",
        "data": "cifar10_jpeg",
        "data_title": "CIFAR-10, re-encoded as JPEG",
        "method": "budget",
        "title": "L0 hard concrete, budget",
        "seed": 0,
        "changes": {"lr": 0.05, "warm_up": [0.2, 0.7]},
        "images": 25_000,
        "epochs": 3,
        "error": 30.0,
        "best_error": 29.5,
        "nonzeros": 100,
        "dense_weights": 400,
        "macs": 498,
        "dense_macs": 1000,
        "expected_macs": 503.0,
        "faster": 1.5,
        "difference": 2e-7,
        "seconds": 4000.0,
        "commit": "0123456789abcdef+",
        "settings": {"pretrain": 5},
        "way": {"compiled": False, "channels_last": True},
    }
    return made | changes


def test_a_line_gives_shares_of_the_dense_network() -> None:
    cells = line(1, row())

    assert "3 + 5" in cells
    assert "25.00 %" in cells
    assert "49.8 % (50.3 %)" in cells
    assert cells[-2:] == ["1.50", "2e-07"]


def test_a_dense_network_expects_nothing() -> None:
    dense = row(method="dense", settings={"pretrain": 0}, macs=1000)
    del dense["expected_macs"]

    cells = line(1, dense)

    assert "3" in cells and "100.0 %" in cells


def test_a_command_repeats_what_was_changed() -> None:
    assert command(row()) == (
        "python -m examples.cifar --net resnet20 --method budget --data cifar10_jpeg --seed 0 "
        "--epochs 3 --images 25000 --set lr=0.05 'warm_up=[0.2, 0.7]' --channels-last"
        "  # at 0123456789+"
    )


def test_rows_stand_in_the_order_of_networks_and_methods(tmp_path: Path) -> None:
    rows = [row(net="alexnet", method="vd"), row(), row(method="dense", seconds=9.0)]
    for number, each in enumerate(rows):
        (tmp_path / f"{number}.json").write_text(json.dumps(each))

    found = collect(tmp_path)

    assert [(r["net"], r["method"]) for r in found] == [
        ("alexnet", "vd"),
        ("resnet20", "dense"),
        ("resnet20", "budget"),
    ]
    text = page(found, ["![picture](a.png)"])
    assert "most 1.1 hours" in text
    assert text.index("| 3 | resnet20 | L0 hard") < text.index("![picture]")
    assert "--net wrn_28_10 --method dense dropout l0 mdr_power budget" in text
