r"""A training step for Lightning, for those who train everything else there."""

__all__ = ["lightning_module"]

import math
from collections.abc import Mapping
from typing import Any

from pyro.infer import ELBO
from torch import Tensor, nn

from pyro_sparse.infer.elbo import TraceSparse_ELBO
from pyro_sparse.infer.groups import build_optimizer, build_scheduler, parameter_groups


def lightning_module(
    model: nn.Module,
    guide: nn.Module,
    *,
    lr: float = 1e-3,
    gate_lr: float = 1e-2,
    optimizer: Any = None,
    scheduler: Any = "decay",
    elbo: ELBO | None = None,
) -> Any:
    r"""A `LightningModule` whose loss is the negative bound, in nats an example.

    Loops, devices, checkpoints and logging are then Lightning's; a schedule of `kl_weight` goes
    on where a checkpoint was written. A budget, EM steps and what else `fit` does beside the
    step are callbacks that you write. It needs the package `lightning`.

    Args:
        model: The model.
        guide: Its guide.
        lr: Learning rate of the weights.
        gate_lr: Learning rate of the gates.
        optimizer: An optimiser, or a function of the two parameter groups that makes one; by
            default Adam.
        scheduler: As in `fit`, advanced with every step: "decay" keeps the rates for half the
            steps and lowers them linearly to 0; or a schedule of factors, a scheduler of torch, a
            function of the optimiser that makes one, or None.
        elbo: The bound; by default `TraceSparse_ELBO()`.

    Raises:
        ImportError: Lightning is not installed.

    Example:
        With a loader of batches `(x, y)`::

            module = lightning_module(model, guide)
            lightning.Trainer(max_epochs=10).fit(module, loader)
    """

    try:
        # Not among the packages that types are checked against.
        from lightning import LightningModule  # type: ignore[import-not-found, unused-ignore]
    except ModuleNotFoundError as error:
        raise ImportError(
            "lightning is needed here and is not installed; install it with: "
            "pip install 'pyro-sparse[lightning]'. Without it, train with fit."
        ) from error

    bound = elbo or TraceSparse_ELBO()
    scale = getattr(model, "num_data", 1)

    class Module(LightningModule):  # type: ignore[misc, valid-type, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.bound = bound(model, guide)

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            loss = self._loss(batch)
            self.log("loss", loss, prog_bar=True)
            return loss

        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.log("validation_loss", self._loss(batch))

        def configure_optimizers(self) -> Any:
            named: dict[str, Tensor] = dict(self.bound.named_parameters())
            named = {name: p for name, p in named.items() if p.requires_grad}
            made = build_optimizer(optimizer, parameter_groups(guide, named, lr, gate_lr))
            rates = build_scheduler(scheduler, made, self._steps())
            if rates is None:
                return made
            return {
                "optimizer": made,
                "lr_scheduler": {"scheduler": rates, "interval": "step"},
            }

        def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
            checkpoint["bound_step"] = getattr(bound, "step", 0)

        def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
            if isinstance(bound, TraceSparse_ELBO):
                bound.step = checkpoint["bound_step"]

        def _steps(self) -> int:
            steps = self.trainer.estimated_stepping_batches
            return int(steps) if math.isfinite(steps) else 0

        def _loss(self, batch: Any) -> Tensor:
            if isinstance(batch, Mapping):
                return self.bound(**batch) / scale
            return self.bound(*(batch if isinstance(batch, tuple | list) else (batch,))) / scale

    return Module()
