"""A training that is interrupted goes on to the same numbers."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyro
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from pyro_sparse.infer import Budget, CheckpointWarning, DivergedError, TraceSparse_ELBO
from pyro_sparse.infer import saver as module
from pyro_sparse.infer.checkpoint import read_checkpoint, write_checkpoint
from tests.common import ROOT
from tests.infer.programs import Stopping, assert_same, data, numbers, program, train


def loader(**settings: Any) -> DataLoader:
    return DataLoader(TensorDataset(*data()), batch_size=32, shuffle=True, **settings)


def noisy(examples: Any) -> list[Any]:
    """Augmentation that draws from torch's global generator."""
    x, y = torch.utils.data.default_collate(examples)
    return [x + 0.1 * torch.randn_like(x), y]


SETTINGS: dict[str, Any] = {
    "tensors": {},
    "everything": {"ema": 0.9, "clip": 1.0, "validation": data(), "patience": 3},
    "loader": {"given": loader},
    "loader with noise": {"given": lambda: loader(collate_fn=noisy)},
    "loader with a generator": {"given": lambda: loader(generator=torch.Generator())},
    "workers": {"given": lambda: loader(num_workers=1)},
    "own order": {"seed": None},
    "plateau": {"scheduler": lambda o: torch.optim.lr_scheduler.ReduceLROnPlateau(o, patience=0)},
    "momentum": {"optimizer": lambda groups: torch.optim.SGD(groups, momentum=0.9, nesterov=True)},
}


def run(settings: dict[str, Any], **more: Any) -> dict[str, Any]:
    settings = dict(settings)
    if "given" in settings:
        settings["given"] = settings["given"]()

    pyro.set_rng_seed(5)
    model, guide = program()
    return numbers(train(model, guide, **settings, **more))


@pytest.mark.parametrize("before", [3, 5], ids=["between epochs", "inside an epoch"])
@pytest.mark.parametrize("name", SETTINGS)
def test_an_interruption_changes_nothing(name: str, before: int, tmp_path: Path) -> None:
    path = tmp_path / "training.pt"
    settings = SETTINGS[name]
    whole = run(settings, elbo=TraceSparse_ELBO(), warm_up=None)

    with pytest.raises(KeyboardInterrupt):
        run(settings, elbo=Stopping(before), warm_up=None, checkpoint=path, every=0.0)
    pyro.set_rng_seed(99)
    resumed = run(settings, elbo=TraceSparse_ELBO(), warm_up=None, checkpoint=path, resume=True)

    assert_same(whole, resumed)


@pytest.mark.parametrize("before", [3, 7])
def test_a_loader_of_its_own_generator_goes_on_from_the_end_of_an_epoch(
    before: int, tmp_path: Path
) -> None:
    def settings(seed: int) -> dict[str, Any]:
        given = loader(generator=torch.Generator().manual_seed(seed))
        return {"given": lambda: given, "warm_up": None}

    path = tmp_path / "training.pt"
    whole = run(settings(1), elbo=TraceSparse_ELBO())

    with pytest.raises(KeyboardInterrupt):
        run(settings(1), elbo=Stopping(before), checkpoint=path, every_epochs=1)
    resumed = run(settings(2), elbo=TraceSparse_ELBO(), checkpoint=path, resume=True)

    assert_same(whole, resumed)


def test_the_noise_of_another_seed_would_have_been_noticed(tmp_path: Path) -> None:
    first, second = run({"seed": 1}), run({"seed": 2})

    with pytest.raises(AssertionError):
        assert_same(first, second)


def test_a_complete_training_returns_at_once(tmp_path: Path) -> None:
    path = tmp_path / "training.pt"
    first = numbers(train(*program(), checkpoint=path))

    second = train(*program(seed=3), checkpoint=path, resume=True)

    assert second.epoch == 4
    assert_same(first, numbers(second))


def test_a_complete_training_can_be_prolonged(tmp_path: Path) -> None:
    path = tmp_path / "training.pt"
    train(*program(), checkpoint=path, scheduler=None)

    longer = train(*program(), checkpoint=path, resume=True, epochs=6, scheduler=None)

    assert [row["epoch"] for row in longer.rows] == [1, 2, 3, 4, 5, 6]


def test_a_training_that_lost_patience_can_be_given_more(tmp_path: Path) -> None:
    path = tmp_path / "training.pt"
    still: dict[str, Any] = {"lr": 0.0, "gate_lr": 0.0, "warm_up": None, "em": False}
    still["checkpoint"] = path
    first = train(*program(), epochs=50, patience=2, **still)

    more = train(*program(), epochs=50, patience=20, resume=True, **still)
    with pytest.warns(UserWarning, match=r"was stopped: no better loss in 20 epochs.*patience=20"):
        again = train(*program(), epochs=50, patience=20, resume=True, **still)

    assert first.epoch < 20 <= more.epoch == again.epoch < 50


def test_resume_names_a_file_that_must_exist(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no checkpoint .*missing\.pt"):
        train(*program(), resume=tmp_path / "missing.pt")


def test_resume_may_write_to_another_file(tmp_path: Path) -> None:
    train(*program(), epochs=1, checkpoint=tmp_path / "first.pt")

    again = train(*program(), resume=tmp_path / "first.pt", checkpoint=tmp_path / "second.pt")

    assert again.epoch == 4 and (tmp_path / "second.pt").exists()


def test_nothing_is_overwritten_by_accident(tmp_path: Path) -> None:
    path = tmp_path / "training.pt"
    train(*program(), epochs=1, checkpoint=path)

    with pytest.raises(FileExistsError, match="resume=True"):
        train(*program(), epochs=1, checkpoint=path)


def test_a_path_that_cannot_be_written_is_found_out_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        train(*program(), checkpoint=tmp_path / "no such folder" / "training.pt")


def test_a_full_disk_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "training.pt"
    write, calls = module.write_checkpoint, []

    def full(*args: Any) -> None:
        calls.append(args)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        write(*args)

    monkeypatch.setattr(module, "write_checkpoint", full)
    with pytest.warns(CheckpointWarning, match="No space left"):
        training = train(*program(), checkpoint=path, epochs=2)

    assert training.epoch == 2 and path.exists()


@pytest.mark.parametrize("last", [2, 12], ids=["inside an epoch", "at the end"])
def test_a_gradient_that_is_no_number_does_not_get_into_a_checkpoint(
    last: int, tmp_path: Path
) -> None:
    """The loss was computed before it, and is finite."""
    path, (model, guide) = tmp_path / "training.pt", program()
    steps: list[torch.Tensor] = []

    def spoil(gradient: torch.Tensor) -> torch.Tensor:
        steps.append(gradient)
        return gradient * float("nan") if len(steps) == last else gradient

    guide.get_parameter("sites.0.weight.loc").register_hook(spoil)
    with pytest.raises(DivergedError, match=r"guide\.sites\.0\.weight\.loc.*is from before"):
        train(model, guide, checkpoint=path, every=0.0)

    state = read_checkpoint(path)
    assert state["position"]["step"] == last - 1
    assert all(t.isfinite().all() for t in state["parts"]["guide"].values())


def test_a_place_that_cannot_hold_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match="Give a file in it"):
        train(*program(), checkpoint=tmp_path)
    with pytest.raises(FileNotFoundError, match="has no folder to be in"):
        train(*program(), checkpoint=tmp_path / "no" / "such.pt")


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "training.pt"
    train(*program(), epochs=1, checkpoint=path)
    other = torch.nn.Linear(4, 3)

    from pyro_sparse.distributions import L0
    from pyro_sparse.guides import AutoSparse
    from pyro_sparse.nn import Classifier, bayesianize

    model = Classifier(bayesianize(other, gate=L0(1.0)), num_data=90)
    with pytest.raises(ValueError, match=r"another training; its tensors differ: guide\.sites"):
        train(model, AutoSparse(model), resume=path)


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"given": tuple(t[:60] for t in data())}, "examples"),
        ({"batch_size": 16}, "batch size"),
        ({"optimizer": torch.optim.SGD}, "optimizer"),
        ({"ema": 0.9}, "average"),
    ],
)
@pytest.mark.filterwarnings("ignore:The model was made for num_data")
def test_changed_settings_are_refused(
    changed: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "training.pt"
    train(*program(), epochs=1, checkpoint=path)

    with pytest.raises(ValueError, match=message):
        train(*program(), resume=path, **changed)


def test_another_budget_is_refused(tmp_path: Path) -> None:
    """Once it is kept exactly, it would go on with what the first one closed."""
    path = tmp_path / "training.pt"
    train(*program(), epochs=1, checkpoint=path, budget=Budget(weights=0.5))

    with pytest.raises(ValueError, match=r"budgets differ: budget \(Budget\(weights=0\.5\)"):
        train(*program(), resume=path, budget=Budget(weights=0.4))

    state = read_checkpoint(path)
    del state["identity"]["budgets"], state["format"]
    write_checkpoint(path, state)
    assert train(*program(), resume=path, budget=Budget(weights=0.5)).epoch == 4


def test_other_rates_are_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "training.pt"
    train(*program(), epochs=1, checkpoint=path)

    with pytest.warns(UserWarning, match=r"begun with, \[0\.01, 0\.05\], and not with \[0\.1,"):
        again = train(*program(), resume=path, lr=0.1)
    assert again.rows[1]["lr"] <= 0.01


KILLED = """
import sys, time
from pathlib import Path
from tests.infer.programs import program, train
import pyro

def slowly(training):
    Path(sys.argv[2]).write_text(str(training.epoch))
    time.sleep(0.05)

pyro.set_rng_seed(5)
train(*program(), epochs=20, checkpoint=sys.argv[1], every=0.0, resume=True, callbacks=[slowly])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_killed_at_any_moment(tmp_path: Path) -> None:
    """By a signal that no program can answer; the second start goes to the end."""
    path, seen = tmp_path / "training.pt", tmp_path / "epoch"
    command = [sys.executable, "-c", KILLED, str(path), str(seen)]

    process = subprocess.Popen(command, cwd=ROOT)
    deadline = time.monotonic() + 120
    while not (seen.exists() and seen.read_text() and int(seen.read_text()) >= 2):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.003)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()

    pyro.set_rng_seed(5)
    resumed = numbers(train(*program(), epochs=20, checkpoint=path, resume=True))
    pyro.set_rng_seed(5)
    whole = numbers(train(*program(), epochs=20))
    assert_same(whole, resumed)
