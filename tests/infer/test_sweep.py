"""Sweeps run what has no result yet."""

from pathlib import Path
from typing import Any

import pytest
import torch

from pyro_sparse.infer.sweep import pareto, sweep


def test_results_are_kept_and_not_computed_again(tmp_path: Path) -> None:
    calls: list[str] = []

    def run(name: str, setting: int, checkpoint: Path) -> dict[str, Any]:
        calls.append(name)
        assert checkpoint.parent == tmp_path and not checkpoint.exists()
        if name == "c" and len(calls) < 4:
            raise KeyboardInterrupt
        return {"twice": 2 * setting}

    settings = {"a": 1, "b": 2, "c": 3}
    with pytest.raises(KeyboardInterrupt):
        sweep(run, settings, tmp_path)
    rows = sweep(run, settings, tmp_path)

    assert calls == ["a", "b", "c", "c"]
    assert rows == [
        {"name": "a", "twice": 2},
        {"name": "b", "twice": 4},
        {"name": "c", "twice": 6},
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.json", "c.json"]


def test_names_become_files(tmp_path: Path) -> None:
    sweep(lambda *_: {"x": 1}, {"5% / weights": 0}, tmp_path)

    assert (tmp_path / "5____weights.json").exists()
    with pytest.raises(ValueError, match="too much alike: a b, a_b"):
        sweep(lambda *_: {}, {"a b": 0, "a_b": 1}, tmp_path)


def test_a_damaged_result_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")

    with pytest.raises(ValueError, match=r"a\.json is no result"):
        sweep(lambda *_: {}, {"a": 0}, tmp_path)


def test_a_run_returns_something(tmp_path: Path) -> None:
    forgetful: Any = lambda *_: None  # noqa: E731

    with pytest.raises(TypeError, match="that of 'a' returned None"):
        sweep(forgetful, {"a": 0}, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("row", [{"e": 1}, {"e": 1, "s": None}, {"e": 1, "s": "x"}], ids=str)
def test_a_row_without_its_numbers_is_named(row: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="has a number 's'"):
        pareto([{"e": 1, "s": 2}, row], "e", "s")


def test_the_front() -> None:
    rows = [{"e": e, "s": s} for e, s in ((3, 1), (1, 3), (2, 2), (2, 3), (3, 3), (1, 3))]

    assert pareto(rows, "e", "s") == [
        {"e": 1, "s": 3},
        {"e": 1, "s": 3},
        {"e": 2, "s": 2},
        {"e": 3, "s": 1},
    ]
    with pytest.raises(ValueError, match="two or more"):
        pareto(rows, "e")


def test_a_training_that_failed_is_on_no_front() -> None:
    rows = [{"error": 0.1, "size": 0.5}, {"error": float("nan"), "size": 0.1}]

    assert pareto(rows, "error", "size") == rows[:1]


def test_numbers_may_come_as_tensors(tmp_path: Path) -> None:
    found = sweep(lambda *_: {"error": torch.tensor(0.5)}, {"a": 1}, tmp_path)

    assert found == [{"name": "a", "error": 0.5}]
    with pytest.raises(TypeError, match="numbers and strings by name, and returned a Tensor"):
        sweep(lambda *_: {"error": torch.ones(2)}, {"b": 1}, tmp_path)
    assert not (tmp_path / "b.json").exists()
