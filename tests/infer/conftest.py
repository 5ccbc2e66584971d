"""What tests of compiled programs share: graphs that run as they were captured."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from pyro_sparse.infer import compiled


def as_captured(graph: Any, inputs: Any, mode: str, alone: bool) -> Callable:
    """Instead of code generation, which takes long and changes no number."""
    if not alone:
        return graph.module
    return lambda *tensors: torch.no_grad()(graph.module)(*tensors)


@pytest.fixture
def captured(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Graphs that a test captures, not compiled any further, and whether each stands alone."""
    graphs: list[Any] = []

    def lower(graph: Any, inputs: Any, mode: str, alone: bool) -> Callable:
        graphs.append((graph, alone))
        return as_captured(graph, inputs, mode, alone)

    monkeypatch.setattr(compiled, "_lower", lower)
    return graphs
