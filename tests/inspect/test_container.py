"""One result for two lines of ArviZ, and its files."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyro_sparse.inspect.container import container, dataset, load_arviz, save_arviz

DRAWS = np.random.default_rng(0).normal(size=(1, 20, 3)).astype("float32")


def result() -> Any:
    return container(
        {
            "posterior": dataset({"fc1.gate": (["chain", "draw", "fc1.group"], DRAWS)}, {}),
            "constant_data": dataset({"keep": (["fc1.group"], np.array([True, False, True]))}, {}),
            "training": dataset({"loss": (["epoch"], np.ones(2))}, {"epoch": [1, 2]}),
            "observed_data": dataset({}, {}),
        },
        {"seed": 3},
    )


def test_groups_and_attributes() -> None:
    found = result()

    assert found.attrs["seed"] == 3
    assert found["posterior"]["fc1.gate"].dims == ("chain", "draw", "fc1.group")
    assert found["training"]["epoch"].values.tolist() == [1, 2]
    assert "observed_data" not in (found.groups() if callable(found.groups) else found.children)


def test_it_is_what_the_installed_line_uses() -> None:
    expected = "InferenceData" if sys.version_info < (3, 12) else "DataTree"

    assert type(result()).__name__ == expected


def test_arrays_are_not_copied() -> None:
    assert np.shares_memory(result()["posterior"]["fc1.gate"].values, DRAWS)


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
@pytest.mark.filterwarnings("ignore")
def test_files_give_back_the_same(tmp_path: Path, suffix: str) -> None:
    path = save_arviz(result(), tmp_path / f"posterior{suffix}")

    found = load_arviz(path)

    assert type(found) is type(result())
    assert found.attrs["seed"] == 3
    assert np.array_equal(found["posterior"]["fc1.gate"].values, DRAWS)
    assert found["constant_data"]["keep"].values.tolist() == [True, False, True]
    assert found["training"]["epoch"].values.tolist() == [1, 2]


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
@pytest.mark.filterwarnings("ignore")
def test_files_are_replaced_only_when_asked(tmp_path: Path, suffix: str) -> None:
    path = save_arviz(result(), tmp_path / f"posterior{suffix}")

    with pytest.raises(FileExistsError, match=r"exists.*overwrite=True"):
        save_arviz(result(), path)

    save_arviz(result(), path, overwrite=True)
    assert np.array_equal(load_arviz(path)["posterior"]["fc1.gate"].values, DRAWS)


def test_bad_paths(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ends in \.nc or \.zarr, got 'draws.csv'"):
        save_arviz(result(), tmp_path / "draws.csv")

    with pytest.raises(FileNotFoundError, match="There is no"):
        load_arviz(tmp_path / "nothing.nc")


def test_dimensions_agree() -> None:
    with pytest.raises(ValueError, match="Dimension 'd' of 'b' has 3 entries, and 2 elsewhere"):
        dataset({"a": (["d"], np.zeros(2)), "b": (["d"], np.zeros(3))}, {})

    with pytest.raises(ValueError, match="Dimension 'd' has 2 entries, but coords gives 1"):
        dataset({"a": (["d"], np.zeros(2))}, {"d": ["x"]})


def test_without_arviz_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "arviz", None)

    with pytest.raises(ImportError, match=r"arviz.*pip install 'pyro-sparse\[arviz\]'"):
        container({}, {})
