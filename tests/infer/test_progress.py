"""The progress bar."""

import pytest

from pyro_sparse.infer import fit
from pyro_sparse.infer.progress import Progress
from tests.infer.programs import data, program, train


def test_it_shows_what_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    training = train(*program(), epochs=2)
    with Progress(training, epochs=3, shown=True) as bar:
        bar.after_step()
        bar.after_epoch(training)

    shown = capsys.readouterr().err
    assert "epoch 2/3" in shown and f"nll={training.row['nll']:.3g}" in shown
    assert "7/9" in shown


def test_fit_shows_it(capsys: pytest.CaptureFixture[str]) -> None:
    fit(*program(), data(), epochs=2, batch_size=30)

    shown = capsys.readouterr().err
    assert "epoch 2/2" in shown and "nll=" in shown and "6/6" in shown


def test_it_may_be_silent(capsys: pytest.CaptureFixture[str]) -> None:
    training = train(*program(), epochs=1)
    with Progress(training, epochs=1, shown=False) as bar:
        bar.after_epoch(training)

    assert capsys.readouterr().err == ""


def test_it_looks_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 10.0, 10.5, 11.5, 11.5])
    training = train(*program(), epochs=1)
    with Progress(training, epochs=1, shown=False) as bar:
        monkeypatch.setattr("pyro_sparse.infer.progress.monotonic", lambda: next(clock))
        looks = [bar.is_time() for _ in range(3)]

    assert looks == [True, False, True]
