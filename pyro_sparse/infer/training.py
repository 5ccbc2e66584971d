r"""The state of a training: everything that must be saved to go on later, and nothing else."""

__all__ = ["Training"]

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
from pyro_sparse.infer.identity import compare_rates, is_prolonged, require_same
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
        epochs: Number of epochs it shall have.
        patience: Number of epochs without a better loss that end it, or None.
        parts: What else is saved, by name: objects with `state_dict` and `load_state_dict`.
        epoch: Number of epochs that were completed.
        batch: Number of batches of the next one that were used.
        step: Number of steps that were made.
        rows: The history, one row an epoch, as below.
        stopped: Why the training ended early; None where it did not.
        seconds: How long it took, interruptions not counted.

    A row of the history has, by name:

    - "epoch", "step": how many were made; "seconds": how long they took, all together;
    - "loss": the negative bound, without a budget's term, and "nll": the expected negative
      log-likelihood in it. Both are means over the steps of the epoch, in nats an example;
    - "kl": the divergences at the last step before their weight, in nats an example, and
      "kl_weight": their weight at that step. Of a bound that does not tell its parts, such as
      Pyro's, "kl" is None, "nll" is the loss, and a budget's term is in both;
    - "lr", "gate_lr": the learning rates of the last step;
    - "alive": the share of weights that are kept themselves, through a gate that is kept, after
      the last step. Compaction leaves less, as it removes what no later layer reads, too. None
      for programs that are not made by `bayesianize` and `AutoSparse`;
    - with a budget, "size": the share that `freeze` and `compact` would leave after the last
      step, and "multiplier": the largest of the budget's, in nats an example;
    - with validation data, "validation_nll" in nats an example, and "validation_error" (the share
      of wrong classes) or "validation_rmse", at the posterior mean after the last step;
    - what callbacks return.

    Where there is a moving average, "alive", "size" and the validation are of the network at it.
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
    epochs: int = 0
    patience: int | None = None
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
        self.rates: dict[str, Any] = {}
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

    def advance(self, loss: Tensor, made: bool = True) -> None:
        r"""Counts a step, and moves the learning rates on to those of the next.

        Args:
            loss: Its loss, a scalar in nats an example.
            made: Whether the optimiser made it, which a scaler may have left out.
        """

        self.sums = self.sums.to(loss.device)
        parts = getattr(self.elbo, "parts", None)
        if parts is None:
            nll = loss
        else:
            nll = -parts.log_likelihood / self.scale
            loss = nll + _weight(self.elbo) * self._divergence() if self._is_bounded() else loss
        self.sums += torch.stack((loss, nll))
        self.batch += 1
        self.step += 1

        self.rates = _rates(self.optimizer)
        scheduler = self.scheduler
        if made and scheduler is not None and not isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step()

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
        known |= {"kl": self._kl(), "kl_weight": float(_weight(self.elbo)), **self._rates()}
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
            "rates": self._rates(),
            "until": {"epochs": self.epochs, "patience": self.patience},
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
        require_same(saved, here, path)
        compare_rates(state["parts"]["optimizer"]["param_groups"], self.optimizer, path)
        for name, part in self._parts().items():
            part.load_state_dict(state["parts"][name])
        with torch.no_grad():
            for name, value in state["stored"].items():
                self.stored[name].copy_(value)

        for name in _POSITION:
            setattr(self, name, state["position"][name])
        if isinstance(self.elbo, TraceSparse_ELBO):
            self.elbo.step, self.elbo.parts = state["elbo"], None
        self.last_kl, self.rates = state["kl"], state.get("rates", {})
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
        if self.stopped is not None:
            now = {"epochs": self.epochs, "patience": self.patience}
            prolonged = is_prolonged(state.get("until", {}), now, self.stopped, path)
            self.stopped = None if prolonged else self.stopped

    def _kl(self) -> float | None:
        """Of the last step; of the one before an interruption, if none was made since."""
        known = getattr(self.elbo, "parts", None) is not None
        return float(self._divergence()) if known else self.last_kl

    def _divergence(self) -> Tensor:
        """Of the last step, in nats an example; nothing waits for a GPU."""
        parts: Any = getattr(self.elbo, "parts", None)
        terms = [kl.to(self.sums.device) for kl in parts.kl.values()]
        return torch.stack(terms).sum() / self.scale if terms else torch.zeros(())

    def _is_bounded(self) -> bool:
        return any(isinstance(part, Budget) for part in self.parts.values())

    def _rates(self) -> dict[str, float]:
        """Of the last step; those of the next one where none was made."""
        rates = self.rates or _rates(self.optimizer)
        return {name: float(rate) for name, rate in rates.items()}

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


def _weight(elbo: Any) -> Any:
    weight = getattr(elbo, "kl_weight", 1.0)
    # The weight of the last step, which was counted already.
    return weight(max(elbo.step - 1, 0)) if callable(weight) else weight


def _rates(optimizer: Optimizer) -> dict[str, Any]:
    prefixes = {"gates": "gate_lr", "weights": "lr"}
    rates = {prefixes.get(g.get("name", ""), "lr"): g["lr"] for g in optimizer.param_groups}
    # A tensor may be changed in place, and is not read before the end of the epoch.
    return {name: r.clone() if isinstance(r, Tensor) else r for name, r in rates.items()}


def _plain(group: dict[str, Any]) -> dict[str, Any]:
    return {key: v for key, v in group.items() if isinstance(v, int | float | str | tuple)}


_POSITION = ("epoch", "batch", "step", "stopped", "seconds", "seed")


def _modules(*programs: Any) -> list[nn.Module]:
    return [program for program in programs if isinstance(program, nn.Module)]
