"""Checkpoints are whole, or the old one is still there."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from pyro_sparse.infer.checkpoint import read_checkpoint, write_checkpoint

STATE: dict[str, Any] = {
    "tensor": torch.arange(1000.0),
    "rows": [{"loss": 0.5, "note": None}],
    "step": 3,
}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    write_checkpoint(path, STATE)
    state = read_checkpoint(path)

    assert torch.equal(state["tensor"], torch.arange(1000.0))
    assert state["rows"] == STATE["rows"] and state["step"] == 3
    assert [file.name for file in tmp_path.iterdir()] == ["state.pt"]


def test_a_write_that_fails_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.pt"
    write_checkpoint(path, {"step": 1})

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*state\.pt'"):
        write_checkpoint(path, {"step": 2})

    assert read_checkpoint(path)["step"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["state.pt"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_torch_s_own_words_for_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".state.pt.part").symlink_to("/dev/full")

    with pytest.raises(OSError, match=r"(bytes are free there|No space left).*'.*state\.pt'"):
        write_checkpoint(tmp_path / "state.pt", STATE)


def test_remains_of_a_killed_write_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / ".state.pt.part").write_bytes(b"half a file")

    write_checkpoint(tmp_path / "state.pt", STATE)

    assert read_checkpoint(tmp_path / "state.pt")["step"] == 3


@pytest.mark.parametrize("part", [b"rows", STATE["tensor"].numpy().tobytes()[500:600]])
def test_a_flipped_byte_is_noticed(part: bytes, tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    write_checkpoint(path, STATE)
    content = bytearray(path.read_bytes())
    content[content.index(part)] ^= 0xFF
    path.write_bytes(content)

    with pytest.raises(ValueError, match="damaged or no checkpoint"):
        read_checkpoint(path)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04" + bytes(100)])
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    path.write_bytes(content)

    with pytest.raises(ValueError, match=r"state\.pt is damaged or no checkpoint"):
        read_checkpoint(path)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    write_checkpoint(path, STATE)
    path.write_bytes(path.read_bytes()[:-500])

    with pytest.raises(ValueError, match="damaged"):
        read_checkpoint(path)


class Code:
    """Something that would run code when it is unpickled."""

    def __reduce__(self) -> tuple:
        return os.getcwd, ()


def test_no_code_is_run(tmp_path: Path) -> None:
    torch.save({"format": 1, "code": Code()}, tmp_path / "state.pt")

    with pytest.raises(ValueError, match="more than tensors, numbers and text"):
        read_checkpoint(tmp_path / "state.pt")


def test_another_torch_file_is_refused(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "state.pt")

    with pytest.raises(ValueError, match="no checkpoint of format 1"):
        read_checkpoint(tmp_path / "state.pt")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no checkpoint .*state\.pt"):
        read_checkpoint(tmp_path / "state.pt")
