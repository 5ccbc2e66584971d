from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from pyro_sparse.inspect.plots import gate_histories, gate_probabilities, log_alpha_histogram


def test_gate_probabilities_shows_every_gate_and_counts():
    ax: Any = gate_probabilities({"fc1.gate": [0.1, 0.6, 0.9], "fc2.gate": [[0.2], [0.4]]})

    points = np.concatenate([c.get_offsets() for c in ax.collections])
    assert sorted(points[:, 0]) == pytest.approx([0.1, 0.2, 0.4, 0.6, 0.9])
    assert {"2 of 3", "0 of 2"} < {text.get_text() for text in ax.texts}
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["fc1.gate", "fc2.gate"]


def test_gate_probabilities_keeps_rows_apart():
    ax: Any = gate_probabilities({"a": torch.rand(500), "b": torch.rand(500)})

    rows = np.concatenate([c.get_offsets() for c in ax.collections])[:, 1]
    assert abs(rows - rows.round()).max() < 0.31


def test_gate_probabilities_are_no_logits():
    with pytest.raises(ValueError, match=r"'a'\] must lie in \[0, 1\], .*-2, 0\.5\]; take prob_a"):
        gate_probabilities({"a": [-2.0, 0.5]})


def test_gate_probabilities_says_what_it_counts_above_the_picture():
    figure: Any = Figure(figsize=(8, 8), dpi=100)
    ax = figure.subplots(2, 2)[0, 1]
    gate_probabilities({"a": [0.5]}, ax=ax)
    figure.draw_without_rendering()

    (caption,) = [text for text in ax.texts if text.get_text() == "above 0.5:"]
    gap = caption.get_window_extent().y0 - ax.get_window_extent().y1
    assert 0 < gap < 20


def test_log_alpha_histogram_does_not_cut_off_a_small_layer():
    large, small = torch.randn(100_000), torch.full((10,), -9.0)

    ax: Any = log_alpha_histogram({"large": large, "small": small})

    low, _ = ax.get_xlim()
    assert low < -9.0
    at = ax.lines[1].get_xdata()[ax.lines[1].get_ydata() > 0]
    assert at == pytest.approx(-9.0, abs=0.2)


def test_log_alpha_histogram_has_room_for_many_layers():
    names = [f"encoder.layers.{i}.self_attention.output_projection.weight" for i in range(30)]

    ax: Any = log_alpha_histogram({name: torch.randn(20) for name in names})

    ax.figure.draw_without_rendering()
    box, page = ax.get_legend().get_window_extent(), ax.figure.bbox
    assert box.y0 >= 0 and box.x1 <= page.x1 and box.y1 <= page.y1
    assert ax.get_window_extent().width > 200


def test_log_alpha_histogram_states_the_share_dropped():
    ax: Any = log_alpha_histogram({"fc1.weight": torch.tensor([-4.0, 2.9, 3.1, 8.0])})

    (label,) = (text.get_text() for text in ax.get_legend().get_texts())
    assert label == "fc1.weight\n50.0 % dropped"
    assert ax.lines[0].get_ydata().sum() == pytest.approx(100)


def test_gate_histories_column_is_the_histogram_of_its_epoch():
    first, second = torch.zeros(10), torch.cat([torch.zeros(4), torch.ones(6)])

    ax: Any = gate_histories([first, second], epochs=[10, 20], bins=5)

    (mesh,) = ax.collections
    shares = mesh.get_array().reshape(5, 2)
    assert shares.tolist() == [[100, 40], [0, 0], [0, 0], [0, 0], [0, 60]]
    assert ax.get_xlim() == (5, 25)


def test_gate_histories_refuses_epochs_of_another_length():
    with pytest.raises(ValueError, match="epochs has 1 entries, but the history has 2"):
        gate_histories([torch.rand(3), torch.rand(3)], epochs=[1])

    with pytest.raises(ValueError, match="empty"):
        gate_histories([])


def test_gate_histories_are_of_gates():
    with pytest.raises(ValueError, match=r"history\[1\] must lie in \[0, 1\]"):
        gate_histories([torch.rand(3), torch.tensor([0.5, 1.5])])
