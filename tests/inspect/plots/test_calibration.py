from typing import Any

import pytest
import torch

from pyro_sparse.inspect.plots import reliability_diagram


def test_reliability_diagram_places_bins_where_they_belong():
    probs = torch.tensor([[0.95, 0.05], [0.95, 0.05], [0.4, 0.6], [0.4, 0.6]])
    labels = torch.tensor([0, 0, 1, 0])

    ax: Any = reliability_diagram(probs, labels, bins=10)

    dots = ax.collections[-1].get_offsets()
    assert dots.tolist() == [pytest.approx([60, 50]), pytest.approx([95, 100])]
    assert ax.get_title(loc="left") == "Reliability (ECE 7.5 %)"
