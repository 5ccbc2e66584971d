import sys
from itertools import pairwise
from typing import Any

import matplotlib
import matplotlib.pyplot
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from pyro_sparse.inspect import plots
from pyro_sparse.inspect.plots import style

PICTURES = {
    "architecture_bars": lambda ax: plots.architecture_bars(
        {"dense": [4, 3], "L0": [2, 0]}, ax=ax
    ),
    "expected_macs": lambda ax: plots.expected_macs({"L0": [200.0, 90.0, 50.0]}, 200, ax=ax),
    "gate_histories": lambda ax: plots.gate_histories(torch.rand(3, 50), ax=ax),
    "gate_probabilities": lambda ax: plots.gate_probabilities({"fc1.gate": [0.1, 0.9]}, ax=ax),
    "input_pixels": lambda ax: plots.input_pixels(torch.rand(16), ax=ax),
    "log_alpha_histogram": lambda ax: plots.log_alpha_histogram({"w": torch.randn(99)}, ax=ax),
    "reliability_diagram": lambda ax: plots.reliability_diagram(
        torch.tensor([[0.9, 0.1], [0.3, 0.7]]), torch.tensor([0, 0]), ax=ax
    ),
    "training_curves": lambda ax: plots.training_curves([0.2, 0.1], [0.0, 0.5], ax=ax),
    "weights_before_after": lambda ax: plots.weights_before_after(
        torch.randn(3, 4), torch.eye(3, 4), ax=ax
    ),
}


def test_every_picture_is_tried():
    assert set(PICTURES) == set(plots.__all__)


@pytest.mark.parametrize("name", PICTURES)
def test_draws_on_the_axes_it_is_given(name):
    ax: Any = Figure().subplots()

    assert PICTURES[name](ax) is ax
    assert ax.has_data()


@pytest.mark.parametrize("name", PICTURES)
def test_makes_axes_and_leaves_nothing_behind(name, tmp_path):
    before = dict(matplotlib.rcParams)

    ax: Any = PICTURES[name](None)
    ax.figure.savefig(tmp_path / "picture.png")

    assert (tmp_path / "picture.png").stat().st_size > 1000
    assert dict(matplotlib.rcParams) == before
    assert matplotlib.pyplot.get_fignums() == []


@pytest.mark.parametrize("name", PICTURES)
def test_axes_say_what_they_show(name):
    ax: Any = PICTURES[name](None)

    assert ax.get_title(loc="left") and ax.get_xlabel()
    # Rows that are named by their ticks need no label.
    assert ax.get_ylabel() or all(tick.get_text() for tick in ax.get_yticklabels())


def test_neighbouring_colours_differ_in_grey():
    grey = [0.299 * r + 0.587 * g + 0.114 * b for r, g, b in map(to_rgb, style.COLOURS)]

    assert min(abs(a - b) for a, b in pairwise(grey)) > 0.1


def test_no_two_lines_look_the_same():
    looks = [style.line(index) for index in range(len(style.COLOURS) * len(style.DASHES))]

    pairs = {(look["color"], look["linestyle"]) for look in looks}
    assert len(pairs) == len(looks) == 49
    assert [style.line(0, count)["marker"] for count in (1, 2)] == ["o", None]


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)

    with pytest.raises(ImportError, match=r"pip install 'pyro-sparse\[arviz\]'"):
        plots.gate_probabilities({"fc1.gate": [0.5]})


def test_numbers_must_be_there_and_finite():
    with pytest.raises(ValueError, match="empty"):
        style.to_array([], "history")

    with pytest.raises(ValueError, match="finite, but 1 of 2"):
        style.to_array([1.0, float("nan")], "history")

    with pytest.raises(TypeError, match="map names to values"):
        style.per_site([1.0], "probabilities")  # type: ignore[arg-type]


def test_log_ticks_are_plain_numbers():
    ax: Any = plots.expected_macs({"L0": [2e5, 2e4]}, dense=2e5)
    ax.figure.canvas.draw()

    assert "100 k" in [tick.get_text() for tick in ax.get_yticklabels()]
