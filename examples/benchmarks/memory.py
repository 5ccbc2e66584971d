"""Memory of a call, measured in a process of its own."""

__all__ = ["added", "highest", "in_fresh_processes", "of_a_step"]

import ctypes
import math
import multiprocessing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn


def highest() -> float:
    """Highest memory of this process so far in MiB; `getrusage` would count its parent's too."""
    status = Path("/proc/self/status")
    if not status.exists():
        return math.nan

    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 2**10


def added(call: Callable[[], Any]) -> float:
    """What a call adds to the memory in use, at its highest, in MiB.

    On a CUDA device by torch's own count. On a processor by the resident memory that Linux
    reports, whose highest mark is set back first, and after the C library has returned what
    earlier calls left; elsewhere there is no such mark and the result is not a number.

    Args:
        call: Something that was called before, so that nothing lasting is made now.
    """
    before: float
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        return (torch.cuda.max_memory_allocated() - before) / 2**20

    mark = Path("/proc/self/clear_refs")
    if not mark.exists():
        return math.nan

    ctypes.CDLL(None).malloc_trim(0)
    mark.write_text("5")
    before = highest()
    call()
    return highest() - before


def of_a_step(
    contender: Callable[..., tuple[Callable[[], None], nn.Module]], *setting: Any
) -> float:
    """Memory of a network's parameters and of what a later step adds to them, in MiB.

    Args:
        contender: Makes a training step and what holds its parameters.
        *setting: Its arguments.
    """
    torch.set_num_threads(1)
    step, owner = contender(*setting)
    for _ in range(2):
        step()

    held = sum(t.numel() * t.element_size() for t in owner.state_dict().values())
    return held / 2**20 + added(step)


def in_fresh_processes(
    call: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]
) -> list[Any]:
    """Results of a call with each of some arguments; a process never forgets its highest memory.

    Args:
        call: A function of a module, with a result that can be pickled.
        arguments: The arguments of each call.
    """
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        return pool.starmap(call, arguments, chunksize=1)
