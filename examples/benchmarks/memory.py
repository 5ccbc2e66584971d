"""Memory of a call, measured in a process of its own."""

__all__ = ["highest", "in_fresh_processes"]

import math
import multiprocessing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def highest() -> float:
    """Highest memory of this process so far in MiB; `getrusage` would count its parent's too."""
    status = Path("/proc/self/status")
    if not status.exists():
        return math.nan

    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 2**10


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
