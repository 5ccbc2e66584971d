"""The step for Lightning, with the real package where it is installed."""

import importlib.util
import sys
import warnings
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from pyro_sparse.distributions import L2
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import TraceSparse_ELBO, schedules
from pyro_sparse.infer.lightning import lightning_module
from pyro_sparse.nn import Classifier, bayesianize
from tests.infer.programs import data, program, train


class Recording(nn.Module):
    """Stands for Lightning's class: a module that can log."""

    def __init__(self) -> None:
        super().__init__()
        self.logged: dict[str, Any] = {}
        self.trainer = SimpleNamespace(estimated_stepping_batches=60)

    def log(self, name: str, value: Any, prog_bar: bool = False) -> None:
        self.logged[name] = value


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("lightning")
    module.LightningModule = Recording  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lightning", module)


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("batch", [data(), list(data()), dict(zip("xy", data(), strict=True))])
def test_a_step_is_one_of_the_bound(batch: Any) -> None:
    model, guide = program()
    module = lightning_module(model, guide, lr=1e-2, gate_lr=5e-2)
    configured = module.configure_optimizers()
    optimizer, rates = configured["optimizer"], configured["lr_scheduler"]["scheduler"]

    losses = []
    for index in range(60):
        optimizer.zero_grad()
        loss = module.training_step(batch, index)
        loss.backward()
        optimizer.step()
        rates.step()
        losses.append(loss.item())

    assert module.logged["loss"] is loss
    assert [group["initial_lr"] for group in optimizer.param_groups] == [1e-2, 5e-2]
    assert [group["lr"] for group in optimizer.param_groups] == [0.0, 0.0]
    assert sum(losses[-10:]) < sum(losses[:10])
    module.validation_step(batch, 0)
    assert "validation_loss" in module.logged


@pytest.mark.usefixtures("stand_in")
def test_what_lightning_saves_is_the_model_and_the_guide() -> None:
    model, guide = program()
    module = lightning_module(model, guide, optimizer=torch.optim.SGD, scheduler=None)

    assert {name.split(".")[1] for name in module.state_dict()} == {"model", "guide"}
    assert isinstance(module.configure_optimizers(), torch.optim.SGD)


@pytest.mark.usefixtures("stand_in")
def test_a_decay_over_no_known_length_is_refused() -> None:
    module = lightning_module(*program())
    module.trainer.estimated_stepping_batches = float("inf")

    with pytest.raises(ValueError, match="Give scheduler=None"):
        module.configure_optimizers()


def test_without_lightning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightning", None)

    with pytest.raises(ImportError, match=r"pyro-sparse\[lightning\]"):
        lightning_module(*program())


needs_lightning = pytest.mark.skipif(
    importlib.util.find_spec("lightning") is None, reason="lightning is not installed"
)


def certain() -> tuple[Classifier, AutoSparse]:
    """Without noise, so that trainings can be compared number by number."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    model = Classifier(bayesianize(net, weight=L2(1.0), bias=L2(1.0)), num_data=90)
    return model, AutoSparse(model)


def trained(
    folder: Path, programs: Any, epochs: int, path: Any = None, **settings: Any
) -> tuple[Any, Any]:
    """What Lightning's own trainer makes of a model and a guide, and the trainer."""
    import lightning  # type: ignore[import-not-found, unused-ignore]

    elbo = TraceSparse_ELBO(kl_weight=schedules.linear(0.0, 1.0, steps=10))
    step = lightning_module(*programs, lr=1e-2, scheduler=None, elbo=elbo)
    with warnings.catch_warnings():
        # It warns of what it would rather have: workers, a logger, other versions.
        warnings.simplefilter("ignore")
        trainer = lightning.Trainer(
            max_epochs=epochs,
            default_root_dir=folder,
            enable_progress_bar=False,
            enable_model_summary=False,
            logger=False,
            accelerator="cpu",
            **settings,
        )
        batches = DataLoader(TensorDataset(*data()), batch_size=30)
        trainer.fit(step, batches, batches, ckpt_path=path)
    return step, trainer


@needs_lightning
def test_lightning_s_trainer(tmp_path: Path) -> None:
    step, trainer = trained(tmp_path, program(), 2, gradient_clip_val=1.0)

    assert trainer.global_step == 6
    assert {"loss", "validation_loss"} <= trainer.callback_metrics.keys()
    assert step.bound.elbo.step == 6


@needs_lightning
def test_lightning_s_training_is_that_of_fit(tmp_path: Path) -> None:
    model, guide = certain()
    weight = schedules.linear(0.0, 1.0, steps=10)
    loader = DataLoader(TensorDataset(*data()), batch_size=30)
    bound = TraceSparse_ELBO(kl_weight=weight)
    train(model, guide, loader, epochs=4, scheduler=None, elbo=bound)
    step, _ = trained(tmp_path, certain(), 4)

    for one, other in zip(step.bound.guide.parameters(), guide.parameters(), strict=True):
        torch.testing.assert_close(one, other)


@needs_lightning
def test_a_checkpoint_of_lightning_goes_on(tmp_path: Path) -> None:
    """To the numbers of a training that was never interrupted, the schedule's step included."""
    whole, _ = trained(tmp_path, certain(), 4)
    _, trainer = trained(tmp_path, certain(), 2)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    resumed, _ = trained(tmp_path, certain(), 4, tmp_path / "half.ckpt")

    assert resumed.bound.elbo.step == 12
    for one, other in zip(resumed.parameters(), whole.parameters(), strict=True):
        assert torch.equal(one, other)
