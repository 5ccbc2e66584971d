r"""Checkpoints: files that are whole or not there, and that run no code when they are read."""

__all__ = ["CheckpointWarning", "read_checkpoint", "write_checkpoint"]

import errno
import os
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import torch

FORMAT = 1


class CheckpointWarning(UserWarning):
    r"""A checkpoint could not be written; the training goes on."""


def write_checkpoint(path: Path | str, state: dict[str, Any]) -> None:
    r"""Writes a checkpoint, which replaces an older one only once it is complete on the disk.

    Args:
        path: The file.
        state: Tensors, numbers, strings, and lists and dictionaries of such.

    Raises:
        OSError: It cannot be written; an older checkpoint is still there.
    """

    path = Path(path)
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            _save({"format": FORMAT, **state}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OSError(error.errno, f"{error.strerror or error}", str(path)) from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def read_checkpoint(path: Path | str) -> dict[str, Any]:
    r"""Reads a checkpoint, with all tensors on the CPU.

    Args:
        path: The file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged, or no checkpoint of this package.
    """

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no checkpoint {path}.")

    try:
        # Torch reads tensors without looking at their checksums.
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"{damaged} has another checksum")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as e:
        raise ValueError(
            f"{path} is no checkpoint: it holds more than tensors, numbers and text, such as a "
            "pickled module, and is not read. Give a file that fit wrote."
        ) from e
    except (ValueError, RuntimeError, zipfile.BadZipFile, EOFError) as e:
        reason = str(e).strip().split("\n")[0]
        raise ValueError(
            f"{path} is damaged or no checkpoint: {reason}. Delete it to start afresh, or "
            "continue from another one."
        ) from e

    known = state.get("format") if isinstance(state, dict) else None
    if known != FORMAT:
        raise ValueError(
            f"{path} is no checkpoint of format {FORMAT} (its format is {known}). Give a file "
            "that fit wrote."
        )
    return state


def _save(state: dict[str, Any], file: Any) -> None:
    try:
        torch.save(state, file)
    except RuntimeError as error:
        # Torch does not tell why it could not write, which is a full disk as a rule.
        free = shutil.disk_usage(Path(file.name).parent).free
        raise OSError(
            errno.ENOSPC, f"Torch could not write it; {free:,} bytes are free"
        ) from error
