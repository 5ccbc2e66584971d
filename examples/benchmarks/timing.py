"""Side-by-side timing: contenders take turns, so that a noisy machine is noisy for all."""

__all__ = ["interleaved", "machine"]

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from examples.support.commit import commit


def interleaved(
    contenders: Mapping[str, Callable[[], Any]], rounds: int, steps: int, warm_up: int = 3
) -> dict[str, float]:
    """Median milliseconds a call of each contender.

    Args:
        contenders: What to call, by name.
        rounds: How often each has its turn.
        steps: Calls a turn.
        warm_up: Calls before the first turn, which compile what is to be compiled.
    """
    for contender in contenders.values():
        for _ in range(warm_up):
            contender()

    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            start = _now()
            for _ in range(steps):
                contender()
            times[name].append((_now() - start) / steps * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


def machine() -> dict[str, Any]:
    """What the numbers were measured on, and what was measured."""
    return {
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "commit": commit(),
    }


def processor() -> str:
    """The processor's name, and how many of its cores there are."""
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text().splitlines() if listed.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()} ({os.cpu_count()} cores)"


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
