from typing import Any

import pytest

from pyro_sparse.inspect.plots import expected_macs, training_curves


def test_training_curves_draws_percents_on_two_axes():
    ax: Any = training_curves([0.5, 0.25], [0.0, 0.75], epochs=[10, 20])

    twin = ax.figure.axes[1]
    assert ax.lines[0].get_xydata().tolist() == [[10, 50], [20, 25]]
    assert twin.lines[0].get_xydata().tolist() == [[10, 0], [20, 75]]
    assert "%" in ax.get_ylabel() and "%" in twin.get_ylabel()


def test_training_curves_refuses_percents_and_unequal_lengths():
    with pytest.raises(ValueError, match="divide percents by 100"):
        training_curves([50.0, 25.0], [0.0, 0.75])

    with pytest.raises(ValueError, match="error has 2 epochs, but sparsity has 1"):
        training_curves([0.5, 0.25], [0.0])

    with pytest.raises(ValueError, match="epochs has 1 entries"):
        training_curves([0.5, 0.25], [0.0, 0.75], epochs=[1])


def test_expected_macs_draws_each_method_and_the_dense_line():
    ax: Any = expected_macs({"L0": [200, 20], "MDR": [200, 10, 5]}, dense=200)

    first, second, dense = ax.lines
    assert first.get_xydata().tolist() == [[1, 200], [2, 20]]
    assert second.get_ydata().tolist() == [200, 10, 5]
    assert set(dense.get_ydata()) == {200}
    assert ax.get_yscale() == "log"


def test_a_single_epoch_is_a_dot():
    curves: Any = training_curves([0.5], [0.25])
    macs: Any = expected_macs({"L0": [200]})

    lines = [*curves.lines, *curves.figure.axes[1].lines, *macs.lines]
    assert [line.get_marker() for line in lines] == ["o", "o", "o"]


def test_expected_macs_refuses_zero():
    with pytest.raises(ValueError, match=r"positive, but history\['L0'\] has 0"):
        expected_macs({"L0": [200, 0]})
