r"""What ArviZ calls its result, in both of its lines, and files of it."""

__all__ = ["Variable", "container", "dataset", "load_arviz", "save_arviz"]

import inspect
import shutil
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyro_sparse.inspect.extras import require

if TYPE_CHECKING:
    from xarray import Dataset

Variable = tuple[Sequence[str], Any]
"""Names of the dimensions, and an array."""


def dataset(
    variables: Mapping[str, Variable],
    coords: Mapping[str, Sequence[Any]],
    attrs: Mapping[str, Any] | None = None,
) -> "Dataset":
    r"""An xarray data set; dimensions without coordinates are counted from 0.

    Args:
        variables: Dimensions and array of each variable.
        coords: Coordinates of the dimensions; those of other dimensions are left out.
        attrs: Attributes.
    """

    sizes: dict[str, int] = {}
    for name, (dims, array) in variables.items():
        for dim, size in zip(dims, array.shape, strict=True):
            if sizes.setdefault(dim, size) != size:
                raise ValueError(
                    f"Dimension '{dim}' of '{name}' has {size} entries, and {sizes[dim]} "
                    "elsewhere. Give the site other dimensions: dims={site: [...]}."
                )

    labels = {dim: list(coords.get(dim, range(size))) for dim, size in sizes.items()}
    for dim, size in sizes.items():
        if len(labels[dim]) != size:
            raise ValueError(
                f"Dimension '{dim}' has {size} entries, but coords gives {len(labels[dim])}."
            )

    return require("xarray").Dataset(dict(variables), labels, dict(attrs or {}))


def container(groups: Mapping[str, "Dataset"], attrs: Mapping[str, Any]) -> Any:
    r"""The groups as an `InferenceData` (ArviZ 0.22 and later) or a `DataTree` (1.0 and later).

    Args:
        groups: A data set for each group; empty ones are left out.
        attrs: Attributes of the whole.
    """

    filled = {name: group for name, group in groups.items() if group.data_vars}
    arviz = _arviz()

    if not _gives_trees(arviz):
        return arviz.InferenceData(attrs=dict(attrs), warn_on_custom_groups=False, **filled)

    tree = require("xarray").DataTree.from_dict(filled)
    tree.attrs = dict(attrs)
    return tree


def save_arviz(data: Any, path: str | Path, overwrite: bool = False) -> Path:
    r"""Writes an ArviZ result as netCDF or zarr; `load_arviz` reads it in either line.

    Args:
        data: The result of `to_arviz`, in either line of ArviZ.
        path: Ends in `.nc` or `.zarr`.
        overwrite: Whether to replace a file that is there.

    Raises:
        FileExistsError: There is such a file, and `overwrite` is false.
    """

    path = Path(path)
    if path.suffix not in (".nc", ".zarr"):
        raise ValueError(f"A file of draws ends in .nc or .zarr, got '{path.name}'.")
    if path.exists() and not overwrite:
        raise FileExistsError(f"'{path}' exists. Choose another name, or say overwrite=True.")

    _remove(path)
    # The older line writes netCDF itself and leaves zarr 3 to its trees.
    if path.suffix == ".zarr" and not _gives_trees(_arviz()):
        data = data.to_datatree()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if path.suffix == ".nc":
            require("h5netcdf")
            data.to_netcdf(str(path), engine="h5netcdf")
        else:
            require("zarr")
            data.to_zarr(str(path))

    return path


def load_arviz(path: str | Path) -> Any:
    r"""Reads what `save_arviz` wrote, as the kind of result the installed ArviZ uses.

    Args:
        path: Ends in `.nc` or `.zarr`.
    """

    path, arviz = Path(path), _arviz()
    if not path.exists():
        raise FileNotFoundError(f"There is no '{path}'.")

    if path.suffix == ".nc":
        return arviz.from_netcdf(str(path))
    if _gives_trees(arviz):
        return arviz.from_zarr(str(path))

    tree = require("xarray").open_datatree(str(path), engine="zarr")
    return arviz.InferenceData.from_datatree(tree)


def _arviz() -> Any:
    # ArviZ 0.22 and later announce their successor at import.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return require("arviz")


def _gives_trees(arviz: Any) -> bool:
    """Whether this is ArviZ 1.0 or later, whose results are trees."""
    return "data" in inspect.signature(arviz.from_dict).parameters


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
