r"""The state of a training: everything that must be saved to go on later, and nothing else."""

__all__ = ["Training"]

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any

import torch
from pyro.infer import ELBO
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel

from pyro_sparse.effects import StoredParameters
from pyro_sparse.infer.batches import Arguments, Batches
from pyro_sparse.infer.budget import Budget
from pyro_sparse.infer.elbo import TraceSparse_ELBO
from pyro_sparse.infer.randomness import random_state, restore_random_state
from pyro_sparse.infer.ranks import Ranks
from pyro_sparse.infer.schedules import Schedule

if TYPE_CHECKING:
    from pandas import DataFrame

State = dict[str, Any]


@dataclass
class Training:
    r"""A training: what `fit` returns, and what its callbacks see.

    Attributes:
        model: The model.
        guide: The guide.
        elbo: The bound.
        parameters: The trained parameters, by name.
        optimizer: The optimiser.
        scheduler: The schedule of its learning rates, or None.
        scaler: The scale of gradients in half precision; does nothing in others.
        average: The moving average of model and guide, or None.
        batches: The data.
        seed: Decides the order of tensors in memory.
        ranks: The processes.
        scale: Number of examples by which the bound is divided.
        parts: What else is saved, by name: objects with `state_dict` and `load_state_dict`.
        epoch: Number of epochs that were completed.
        batch: Number of batches of the next one that were used.
        step: Number of steps that were made.
        rows: The history, one row an epoch.
        stopped: Why the training ended early; None where it did not.
        seconds: How long it took, interruptions not counted.
    """

    model: Callable
    guide: Callable
    elbo: ELBO
    parameters: dict[str, Tensor]
    optimizer: Optimizer
    scheduler: Any
    scaler: GradScaler
    average: AveragedModel | None
    batches: Batches
    seed: int
    ranks: Ranks
    scale: int = 1
    parts: dict[str, Any] = field(default_factory=dict)
    epoch: int = 0
    batch: int = 0
    step: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    stopped: str | None = None
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.programs = nn.ModuleList(_modules(self.model, self.guide))
        owned = {id(p) for p in self.programs.parameters()}
        names = [name for name, p in self.parameters.items() if id(p) not in owned]
        self.stored = StoredParameters(names)
        self.sums = torch.zeros(2, dtype=torch.double)
        self.last_kl: float | None = None
        self.began: State = {}
        self._since = monotonic()

    @property
    def history(self) -> "DataFrame":
        r"""The history as a pandas frame, one row an epoch."""

        try:
            import pandas
        except ModuleNotFoundError as error:
            raise ImportError(
                "A history as a frame needs pandas: pip install 'pyro-sparse[arviz]'. `rows` is "
                "the same as a list of dictionaries."
            ) from error
        return pandas.DataFrame(self.rows)

    @property
    def row(self) -> dict[str, Any]:
        r"""What is known of the last completed epoch."""

        return self.rows[-1]

    @property
    def averaged(self) -> tuple[Any, Any] | None:
        r"""Model and guide at the moving average of their parameters, if there is one."""

        if self.average is None:
            return None

        model, guide = self.average.module.children()
        return model, guide

    def stop(self, reason: str) -> None:
        r"""Ends the training after this epoch.

        Args:
            reason: Why, for `stopped`.
        """

        self.stopped = str(reason)

    def remaining(self) -> Iterator[Arguments]:
        r"""The batches that the present epoch has left."""

        if self.batch == 0:
            self.began = {"random": random_state(), "data": self.batches.state()}
            return self.batches.epoch(self.epoch + 1)

        # A loader draws its order when it starts: it starts from the state it started from.
        now = random_state()
        restore_random_state(self.began["random"])
        self.batches.load_state(self.began["data"])
        batches = self.batches.epoch(self.epoch + 1, skip=self.batch)
        restore_random_state(now)
        return batches

    def advance(self, loss: Tensor) -> None:
        r"""Counts a step.

        Args:
            loss: Its loss, a scalar in nats an example.
        """

        parts = getattr(self.elbo, "parts", None)
        nll = loss if parts is None else -parts.log_likelihood / self.scale
        self.sums = self.sums.to(loss.device)
        self.sums += torch.stack((loss, nll))
        self.batch += 1
        self.step += 1

    def finish_epoch(self, facts: dict[str, Any]) -> None:
        r"""Writes a row of the history.

        Args:
            facts: What else is known, by name.
        """

        self.epoch += 1
        means = self.ranks.mean((self.sums / max(self.batch, 1)).tolist())
        known: dict[str, Any] = {
            "epoch": self.epoch,
            "step": self.step,
            "loss": means[0],
            "nll": means[1],
        }
        known |= {"kl": self._kl(), "kl_weight": _weight(self.elbo), **_rates(self.optimizer)}
        self.rows.append({**known, **facts, "seconds": self.elapsed()})
        self.batch = 0
        self.sums.zero_()
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(self.row.get("validation_nll", means[0]))

    def elapsed(self) -> float:
        r"""Seconds of training, those before an interruption included."""

        now = monotonic()
        self.seconds, self._since = self.seconds + now - self._since, now
        return self.seconds

    def settings(self) -> dict[str, Any]:
        r"""What all processes must have been given alike."""

        weight = getattr(self.elbo, "kl_weight", 1.0)
        known = isinstance(weight, Schedule | float | int)
        return {
            **self._identity(),
            "seed": self.seed,
            "step": self.step,
            "optimizer": [_plain(group) for group in self.optimizer.param_groups],
            "kl_weight": weight if known else None,
        }

    def state(self) -> State:
        r"""Everything that is needed to go on, as tensors, numbers and strings."""

        self.elapsed()
        mine = {"random": random_state(), "data": self.batches.state(), "began": self.began}
        return {
            "identity": self._identity(),
            "position": {name: getattr(self, name) for name in _POSITION},
            "sums": self.sums.cpu(),
            "kl": self._kl(),
            "rows": self.rows,
            "elbo": getattr(self.elbo, "step", 0),
            "stored": {name: p.detach() for name, p in self.stored.items()},
            "parts": {name: part.state_dict() for name, part in self._parts().items()},
            "ranks": self.ranks.gather(mine),
        }

    def load_state(self, state: State, path: Any) -> None:
        r"""Goes on from there.

        Args:
            state: What `state` returned.
            path: Where it comes from, for errors.

        Raises:
            ValueError: It belongs to another model, guide, optimiser, budget or data set.
        """

        here = self._identity()
        # Checkpoints of before do not say what the budget was.
        saved = {"budgets": here["budgets"], **state.get("identity", {})}
        _require_same(saved, here, path)
        _compare_rates(state["parts"]["optimizer"]["param_groups"], self.optimizer, path)
        for name, part in self._parts().items():
            part.load_state_dict(state["parts"][name])
        with torch.no_grad():
            for name, value in state["stored"].items():
                self.stored[name].copy_(value)

        for name in _POSITION:
            setattr(self, name, state["position"][name])
        if isinstance(self.elbo, TraceSparse_ELBO):
            self.elbo.step, self.elbo.parts = state["elbo"], None
        self.last_kl = state["kl"]
        self.rows, self.sums = list(state["rows"]), state["sums"]
        self.batches.seed = self.seed
        self._since = monotonic()

        # With another number of processes the noise is new, and everything else goes on.
        alike = len(state["ranks"]) == self.ranks.count
        mine = state["ranks"][self.ranks.index if alike else 0]
        self.began = mine["began"]
        self.batches.load_state(mine.get("data", {}))
        if alike:
            restore_random_state(mine["random"])

    def _kl(self) -> float | None:
        """Of the last step; of the one before an interruption, if none was made since."""
        parts = getattr(self.elbo, "parts", None)
        if parts is None:
            return self.last_kl
        return sum(float(kl) for kl in parts.kl.values()) / self.scale

    def _parts(self) -> dict[str, Any]:
        programs = {"model": self.model, "guide": self.guide}
        parts = {name: p for name, p in programs.items() if isinstance(p, nn.Module)}
        found = {
            **parts,
            "optimizer": self.optimizer,
            "scheduler": self.scheduler,
            "scaler": self.scaler,
            "average": self.average,
            **self.parts,
        }
        return {name: part for name, part in found.items() if part is not None}

    def _identity(self) -> dict[str, Any]:
        tensors = {
            f"{name}.{key}": list(value.shape)
            for name, part in self._parts().items()
            if isinstance(part, nn.Module)
            for key, value in part.state_dict().items()
            if isinstance(value, Tensor)
        }
        tensors |= {f"stored.{name}": list(p.shape) for name, p in self.stored.items()}
        return {
            "parts": {name: type(part).__name__ for name, part in self._parts().items()},
            "tensors": tensors,
            "budgets": {n: repr(p) for n, p in self.parts.items() if isinstance(p, Budget)},
            "data": {
                "examples": self.batches.examples,
                "batches": len(self.batches),
                "batch size": getattr(self.batches, "size", None),
            },
        }


def _weight(elbo: Any) -> float:
    weight = getattr(elbo, "kl_weight", 1.0)
    # The weight of the last step, which was counted already.
    return float(weight(max(elbo.step - 1, 0)) if callable(weight) else weight)


def _rates(optimizer: Optimizer) -> dict[str, float]:
    prefixes = {"gates": "gate_lr", "weights": "lr"}
    groups = optimizer.param_groups
    return {prefixes.get(group.get("name", ""), "lr"): float(group["lr"]) for group in groups}


def _plain(group: dict[str, Any]) -> dict[str, Any]:
    return {key: v for key, v in group.items() if isinstance(v, int | float | str | tuple)}


def _compare_rates(saved: list[dict[str, Any]], optimizer: Optimizer, path: Any) -> None:
    """Says so where rates that were given now are not those that the training goes on with."""
    # Where no schedule noted them, what rates began with is not known any more.
    before, now = ([g.get("initial_lr") for g in gs] for gs in (saved, optimizer.param_groups))
    if None not in before + now and before != now:
        warnings.warn(
            f"{path} goes on with the learning rates that it was begun with, {before}, and not "
            f"with {now}. Start afresh to train with others.",
            stacklevel=5,
        )


_POSITION = ("epoch", "batch", "step", "stopped", "seconds", "seed")


def _modules(*programs: Any) -> list[nn.Module]:
    return [program for program in programs if isinstance(program, nn.Module)]


def _require_same(saved: dict[str, Any], here: dict[str, Any], path: Any) -> None:
    for what in here:
        before, now = saved.get(what, {}), here[what]
        different = sorted(
            name for name in before.keys() | now.keys() if before.get(name) != now.get(name)
        )
        if different:
            listed = ", ".join(
                f"{name} ({before.get(name)} there, {now.get(name)} here)"
                for name in different[:3]
            )
            more = f" and {len(different) - 3} more" if len(different) > 3 else ""
            raise ValueError(
                f"{path} was written by another training; its {what} differ: {listed}{more}. "
                "Build model, guide, data and settings as they were, or start afresh."
            )
