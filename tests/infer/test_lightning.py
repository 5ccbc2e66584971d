"""The step for Lightning, with the real package where it is installed."""

import importlib.util
import sys
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from pyro_sparse.infer.lightning import lightning_module
from tests.infer.programs import data, program


class Recording(nn.Module):
    """Stands for Lightning's class: a module that can log."""

    def __init__(self) -> None:
        super().__init__()
        self.logged: dict[str, Any] = {}

    def log(self, name: str, value: Any) -> None:
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
    optimizer = module.configure_optimizers()

    losses = []
    for index in range(60):
        optimizer.zero_grad()
        loss = module.training_step(batch, index)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    assert module.logged["loss"] is loss
    assert [group["lr"] for group in optimizer.param_groups] == [1e-2, 5e-2]
    assert sum(losses[-10:]) < sum(losses[:10])
    module.validation_step(batch, 0)
    assert "validation_loss" in module.logged


@pytest.mark.usefixtures("stand_in")
def test_what_lightning_saves_is_the_model_and_the_guide() -> None:
    model, guide = program()
    module = lightning_module(model, guide, optimizer=torch.optim.SGD)

    assert {name.split(".")[1] for name in module.state_dict()} == {"model", "guide"}
    assert isinstance(module.configure_optimizers(), torch.optim.SGD)


def test_without_lightning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightning", None)

    with pytest.raises(ImportError, match=r"pyro-sparse\[lightning\]"):
        lightning_module(*program())


@pytest.mark.skipif(
    importlib.util.find_spec("lightning") is None, reason="lightning is not installed"
)
def test_with_lightning(tmp_path: Any) -> None:
    import lightning  # type: ignore[import-not-found, unused-ignore]

    model, guide = program()
    trainer = lightning.Trainer(
        max_epochs=2, default_root_dir=tmp_path, enable_progress_bar=False, logger=False
    )
    trainer.fit(lightning_module(model, guide), DataLoader(TensorDataset(*data()), batch_size=30))

    assert trainer.global_step == 6
