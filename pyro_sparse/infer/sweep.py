r"""Many trainings, one after another, each done once."""

__all__ = ["pareto", "sweep"]

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def sweep(
    run: Callable[[str, Any, Path], Mapping[str, Any]],
    settings: Mapping[str, Any],
    folder: Path | str,
) -> list[Row]:
    r"""Runs every setting whose result is not in the folder yet.

    A sweep that is started again goes on with the first setting that has no result. For one
    that also goes on inside a training, give `fit` the checkpoint that `run` is offered.

    Args:
        run: A function of (name, setting, path of a checkpoint) that trains and returns numbers
            and strings by name.
        settings: The settings by name, such as `{"5%": Budget(weights=0.05)}`.
        folder: Where results are kept, one JSON file each; made if it is not there.

    Returns:
        The results in the order of the settings, with the name under "name".

    Raises:
        ValueError: Two names belong to one file, or a result in the folder cannot be read.
        TypeError: A result is made of other things than numbers and strings.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     sweep(lambda name, x, checkpoint: {"square": x * x}, {"two": 2, "3": 3}, folder)
        [{'name': 'two', 'square': 4}, {'name': '3', 'square': 9}]
    """

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: folder / f"{_plain(name)}.json" for name in settings}
    if len(set(files.values())) < len(files):
        raise ValueError(
            "Each setting has a file of its own, and these names are too much alike: "
            f"{', '.join(settings)}."
        )

    for name, setting in settings.items():
        if not files[name].exists():
            result = run(name, setting, files[name].with_suffix(".checkpoint"))
            _require_mapping(name, result)
            _write(files[name], {"name": name, **result})
    return [_read(file) for file in files.values()]


def pareto(rows: Iterable[Mapping[str, Any]], *names: str) -> list[Row]:
    r"""The rows that no other row beats in all of these numbers; the smaller, the better.

    A row with a number that is nan, as of a training that failed, is beaten by all.

    Args:
        rows: Results.
        names: Names of at least two numbers, such as "error" and "size".

    Returns:
        These rows, by the first number.

    Raises:
        ValueError: Fewer than two names are given, or a row has no such number.

    Example:
        >>> rows = [{"e": 1, "s": 9}, {"e": 2, "s": 5}, {"e": 3, "s": 6}]
        >>> pareto(rows, "e", "s")
        [{'e': 1, 's': 9}, {'e': 2, 's': 5}]
    """

    if len(names) < 2:
        raise ValueError(f"A front is that of two or more numbers, got {list(names)}.")

    known = [dict(row) for row in rows]
    points = [tuple(_known(row, name) for name in names) for row in known]
    front = [row for row, p in zip(known, points, strict=True) if not _is_beaten(p, points)]
    return sorted(front, key=lambda row: row[names[0]])


def _require_mapping(name: str, result: Any) -> None:
    if not isinstance(result, Mapping):
        raise TypeError(
            f"A run returns numbers and strings by name, and that of '{name}' returned "
            f"{result!r}. Its checkpoint is still there."
        )


def _known(row: Row, name: str) -> float:
    value = row.get(name)
    if not isinstance(value, int | float):
        raise ValueError(
            f"Each row of a front has a number '{name}', nan where it failed, and one has "
            f"{value!r}: {row}."
        )
    return value


def _is_beaten(point: tuple, points: list[tuple]) -> bool:
    return any(map(math.isnan, point)) or any(
        other != point and all(o <= p for o, p in zip(other, point, strict=True))
        for other in points
    )


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)


def _write(file: Path, row: Row) -> None:
    part = file.with_suffix(".part")
    part.write_text(json.dumps(row, indent=1, default=_number))
    os.replace(part, file)


def _number(value: Any) -> Any:
    """Numbers that come as tensors or arrays."""
    try:
        return value.item()
    except (AttributeError, RuntimeError, ValueError) as error:
        raise TypeError(
            f"A run returns numbers and strings by name, and returned a {type(value).__name__}. "
            "Its checkpoint is still there."
        ) from error


def _read(file: Path) -> Row:
    try:
        return dict(json.loads(file.read_text()))
    except ValueError as error:
        raise ValueError(f"{file} is no result of a sweep: {error}. Delete it.") from error
