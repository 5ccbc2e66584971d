r"""Training with everything that a long run needs; all of it can be done by hand."""

__all__ = ["fit"]

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pyro.infer import ELBO
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grad_norm_
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pyro_sparse.distributions import GroupGaussianMixture
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer.batches import Arguments, Batches, batches_of, moved
from pyro_sparse.infer.budget import Budget
from pyro_sparse.infer.facts import at_the_mean, share_alive
from pyro_sparse.infer.groups import build_optimizer, build_scheduler, parameter_groups
from pyro_sparse.infer.health import finite_numbers, require_finite, require_sound
from pyro_sparse.infer.programs import first_batch, trained_parameters
from pyro_sparse.infer.progress import Progress
from pyro_sparse.infer.randomness import random_state, restore_random_state
from pyro_sparse.infer.ranks import Ranks
from pyro_sparse.infer.saver import Saver
from pyro_sparse.infer.scheduled import Scheduled
from pyro_sparse.infer.settings import (
    WARM_UP,
    build_bound,
    check_functions,
    check_settings,
    examples_of,
    seed_all,
)
from pyro_sparse.infer.training import Training

Callback = Callable[[Training], Mapping[str, Any] | None]

VALIDATION_BATCH = 1024


def fit(
    model: Any,
    guide: Any,
    data: Any,
    *,
    epochs: int,
    batch_size: int = 128,
    lr: float = 1e-3,
    gate_lr: float = 1e-2,
    optimizer: Any = None,
    scheduler: Any = "decay",
    kl_weight: float | Callable[[int], float] = 1.0,
    warm_up: tuple[float, float] | None = WARM_UP,
    scheduled: Mapping[str, Callable[[int], float]] | None = None,
    elbo: ELBO | None = None,
    compile: bool | str = "auto",
    budget: Budget | None = None,
    validation: Any = None,
    callbacks: Sequence[Callback] = (),
    clip: float | None = None,
    autocast: torch.dtype | None = None,
    ema: float | None = None,
    em: bool = True,
    patience: int | None = None,
    checkpoint: Path | str | None = None,
    every: float = 300.0,
    every_epochs: int | None = None,
    resume: Path | str | bool = False,
    seed: int | None = None,
    progress: bool = True,
) -> Training:
    r"""Trains a model and its guide, in place.

    What it does, by hand:

    .. code-block:: python

        bound = TraceSparse_ELBO(kl_weight=linear(0, 1, steps=steps / 10))(model, guide)
        gates = [p for name, p in guide.named_parameters() if ".gate." in name]
        weights = [p for name, p in bound.named_parameters() if ".gate." not in name]
        optimizer = Adam([{"params": weights, "lr": 1e-3}, {"params": gates, "lr": 1e-2}])
        decay = LambdaLR(optimizer, lambda step: min(1, 2 - 2 * step / steps))
        for epoch in range(epochs):
            for batch in torch.randperm(len(x)).split(128):
                optimizer.zero_grad()
                (bound(x[batch], y[batch]) / len(x)).backward()
                optimizer.step()
                decay.step()

    and beside it what a long run needs: a history, validation, checkpoints that lose nothing,
    a moving average, several processes. The loss is the negative bound in nats an example.

    A training that is started again with the same arguments and `resume=True` goes on where its
    checkpoint was written, also inside an epoch, to the same numbers as one that was never
    interrupted (on the same kind of device, and up to rounding where the bound is compiled); one
    that was complete returns at once.

    Where `torch.distributed` is initialised, as under `torchrun` after `init_process_group`, all
    processes train one model through `DistributedDataParallel`; only the first one writes.
    Tensors in memory are shared out among them; a loader wants a `DistributedSampler`.

    Args:
        model: The model: a module, such as `Classifier`, or any Pyro program.
        guide: Its guide.
        data: The model's arguments: tensors in memory, such as `(x, y)`, which are shuffled and
            cut into batches without a loader's overhead, or a `DataLoader` or other iterable of
            batches. Batches move to the device of the parameters. The loss is divided by the
            model's `num_data`, or else by the number of examples in the data, a list of batches
            included; where neither is known a warning says so.
        epochs: Number of passes over the data, those before an interruption included.
        batch_size: Number of examples of a batch, over all processes; for tensors in memory.
        lr: Learning rate of the weights.
        gate_lr: Learning rate of the gates, which usually want a larger one.
        optimizer: An optimiser of torch, or a function of the two parameter groups that makes
            one; by default Adam.
        scheduler: "decay" keeps the rates for half the steps and lowers them linearly to 0; or a
            schedule of factors, a scheduler of torch, a function of the optimiser that makes
            one, or None. It advances with every step (`ReduceLROnPlateau` with every epoch).
        kl_weight: The weight of the divergences after the warm-up; or a function of the step,
            which then replaces the warm-up.
        warm_up: The shares of the training between which the weight of the divergences rises
            linearly from 0; None for no warm-up.
        scheduled: Functions of the step that scale what laws are made of and do not train, such
            as `{"temperature": schedules.linear(1.0, 0.3, steps=5000)}` for all gates, "penalty"
            for L0 penalties, or "fc1.gate.temperature" for one site. Nothing compiles anew.
        elbo: The bound; by default a `TraceSparse_ELBO`. One of your own has its own `kl_weight`
            and its own `compile`.
        compile: Whether the bound is compiled, which takes seconds to minutes and makes each step
            faster. "auto" does so from 10,000 steps on, where that can be expected to pay on
            small networks, too, and where the program and the machine allow it.
        budget: The size that the network shall have in the end, such as `Budget(weights=0.05)`.
        validation: Data as above, on which the likelihood and the error of the network at the
            posterior mean are written down after every epoch.
        callbacks: Functions of the `Training`, called after every epoch. A mapping of numbers
            that one returns is added to the history; `training.stop("why")` ends the training.
        clip: The largest norm of the gradient.
        autocast: `torch.bfloat16` or `torch.float16` for mixed precision.
        ema: Rate, such as 0.999, of a moving average of the parameters, in `averaged`; what a
            budget closes is closed there, too. The history is of the network at the average.
        em: Whether `GroupGaussianMixture` priors make an EM step after every epoch.
        patience: Number of epochs without a better loss (on the validation data, where there is
            any) after which the training ends. Those of the warm-up do not count, nor those
            before a budget is kept exactly, from the last of its `stages` on.
        checkpoint: A file to write checkpoints to.
        every: Seconds between checkpoints.
        every_epochs: Epochs between further checkpoints.
        resume: True to go on from `checkpoint` if it exists; or the path of a checkpoint. Order
            of the data and learning rates are those it was begun with; a greater number of
            `epochs` prolongs it, and where it was stopped more `patience` does so, too.
        seed: Seeds all random number generators, and decides the order of tensors in memory. By
            default the order is drawn from torch's generator.
        progress: Whether to show a progress bar.

    Returns:
        The `Training`, with its `history`, whose columns are listed there.

    Raises:
        ValueError: A setting is out of range, or a checkpoint does not belong to this training.
        TypeError: A setting is of the wrong kind.
        DivergedError: The loss is not a number any more. The checkpoint is from before.
        FileExistsError: There is a checkpoint, and `resume` does not say to continue it.

    Example:
        >>> from pyro_sparse.distributions import L0
        >>> from pyro_sparse.nn import Classifier, bayesianize
        >>> model = Classifier(bayesianize(nn.Linear(4, 3), gate=L0(0.1)), num_data=60)
        >>> x, y = torch.randn(60, 4), torch.arange(60) % 3
        >>> training = fit(model, AutoSparse(model), (x, y), epochs=2, progress=False)
        >>> training.epoch, training.step, sorted(training.row)[:4]
        (2, 2, ['alive', 'epoch', 'gate_lr', 'kl'])
    """

    if not isinstance(resume, bool | str | Path):
        raise TypeError(f"resume is True, False or the path of a checkpoint, got {resume!r}.")
    if resume is True and checkpoint is None:
        raise ValueError("resume=True continues `checkpoint`, and none was given.")
    check_settings(epochs, lr, gate_lr, clip, autocast, ema, patience, every, every_epochs)
    ranks = Ranks.current()
    order = seed_all(seed, ranks)
    batches = batches_of(data, batch_size, order, ranks)
    unseen = None if validation is None else batches_of(validation, VALIDATION_BATCH, 0, Ranks())
    steps = epochs * len(batches)
    elbo = build_bound(elbo, kl_weight, warm_up, steps, compile)

    parameters = trained_parameters(model, guide, batches)
    device = next(iter(parameters.values())).device
    optimizer = build_optimizer(optimizer, parameter_groups(guide, parameters, lr, gate_lr))
    check_functions(callbacks, scheduled, optimizer)
    training = Training(
        model=model,
        guide=guide,
        elbo=elbo,
        parameters=parameters,
        optimizer=optimizer,
        scheduler=build_scheduler(scheduler, optimizer, steps),
        epochs=epochs,
        patience=patience,
        scaler=GradScaler(device.type, enabled=autocast == torch.float16),
        average=_average(ema, model, guide),
        batches=batches,
        seed=order,
        ranks=ranks,
        scale=examples_of(model, batches),
    )

    alike = {"number of epochs": epochs, "clip": clip, "em": em, "patience": patience}
    ranks.require_agreement(training.settings() | alike)
    bounded = _attached(budget, training, steps)
    settled = 0.0 if budget is None else budget.stages[2] * steps
    following = Scheduled((model, guide), scheduled or {})
    if scheduled:
        training.parts["scheduled"] = following
    if unseen is not None:
        _require_scores(training, unseen)
    saver = Saver(None if checkpoint is None else Path(checkpoint), every, every_epochs)
    saver.resume(training, resume if isinstance(resume, bool) else Path(resume))
    ranks.require_agreement({"step to go on from": training.step})
    loss_of = _across(ranks, elbo(bounded, guide), device)
    cast = torch.autocast(device.type, autocast, enabled=autocast is not None)

    with Progress(training, epochs, progress) as bar:
        while training.epoch < epochs and training.stopped is None:
            for batch in training.remaining():
                args, kwargs = moved(batch, device)
                optimizer.zero_grad()
                following.set(training.step)
                with cast, finite_numbers(training, batch, saver.written):
                    loss = loss_of(*args, **kwargs) / training.scale
                if device.type == "cpu" or bar.is_time():
                    require_finite(training, loss.item(), saver.written)
                made = _descend(training, loss, clip)
                training.advance(loss.detach(), made)
                if budget is not None:
                    budget.update(training.step, steps, *_followers(training))
                bar.after_step()
                saver.after_step(training)

            require_sound(training, saver.written)
            if em:
                _maximise(guide)
            training.finish_epoch(_facts(training, unseen, budget))
            for callback in callbacks:
                training.row.update(_numbers(callback(training)))
            if patience is not None and _waited(training.rows, settled) >= patience:
                training.stop(f"no better loss in {patience} epochs")
            bar.after_epoch(training)
            saver.after_epoch(
                training, last=training.epoch == epochs or training.stopped is not None
            )

    return training


def _descend(training: Training, loss: Tensor, clip: float | None) -> bool:
    """Makes a step, and says whether it was made."""
    scaler, optimizer = training.scaler, training.optimizer
    scaler.scale(loss).backward()
    if clip is not None:
        scaler.unscale_(optimizer)
        clip_grad_norm_(training.parameters.values(), clip)
    before = scaler.get_scale()
    scaler.step(optimizer)
    scaler.update()

    if training.average is not None:
        training.average.update_parameters(training.programs)
    # A scale that falls says that the step was left out.
    return scaler.get_scale() >= before


def _followers(training: Training) -> tuple[Any, ...]:
    """The guide at the moving average, if there is one."""
    return () if training.averaged is None else training.averaged[1:]


def _attached(budget: Budget | None, training: Training, steps: int) -> Any:
    """The model, with a budget's term if there is one."""
    if budget is None:
        return training.model
    if not isinstance(budget, Budget):
        raise TypeError(f"The budget is one such as Budget(weights=0.05), got {budget!r}.")
    if not (isinstance(training.model, nn.Module) and isinstance(training.guide, AutoSparse)):
        raise TypeError("A budget wants a model around a bayesianized network, and AutoSparse.")
    if not steps:
        raise ValueError("A budget is met over a training of known length; give data with one.")

    device = next(iter(training.parameters.values())).device
    args, kwargs = moved(first_batch(training.batches), device)
    example = next(iter((*args, *kwargs.values())))[:2]
    training.parts["budget"] = budget
    return budget.attach(training.model, training.guide, example, training.scale)


def _require_scores(training: Training, unseen: Batches) -> None:
    """Finds out before the training whether validation data can be scored."""
    try:
        batch = first_batch(unseen)
    except ValueError as error:
        raise ValueError("Validation needs at least one batch, and its data has none.") from error
    _score(training, [batch])


def _score(training: Training, batches: Iterable[Arguments]) -> dict[str, float]:
    """What the validation says; the training goes on with the random numbers it would have had."""
    device = next(iter(training.parameters.values())).device
    model, guide = training.averaged or (training.model, training.guide)
    before = random_state()
    try:
        return at_the_mean(model, guide, (moved(batch, device) for batch in batches))
    finally:
        restore_random_state(before)


def _maximise(guide: Callable) -> None:
    """An EM step of the priors that make some and are not trained by gradient."""
    if not isinstance(guide, AutoSparse):
        return

    priors, laws = guide.priors(), guide.laws()
    for site, prior in priors.items():
        if isinstance(prior, GroupGaussianMixture) and not prior.probs.requires_grad:
            prior.em_step(laws[site])


def _facts(training: Training, unseen: Batches | None, budget: Budget | None) -> dict[str, Any]:
    pair: tuple[Any, Any] = training.averaged or (training.model, training.guide)
    model, guide = pair
    facts: dict[str, Any] = {"alive": share_alive(model, guide)}
    if budget is not None:
        facts |= {"size": budget.size(guide), "multiplier": budget.multiplier.max().item()}
    if unseen is not None:
        seen = _score(training, unseen.epoch(0))
        facts |= {f"validation_{name}": value for name, value in seen.items()}
    return facts


def _numbers(returned: Mapping[str, Any] | None) -> dict[str, Any]:
    if not isinstance(returned, Mapping | None):
        raise TypeError(
            "A callback returns numbers by name, {'error': 0.1}, or None, and one returned a "
            f"{type(returned).__name__}."
        )
    return {name: _number(name, value) for name, value in (returned or {}).items()}


def _number(name: str, value: Any) -> Any:
    if isinstance(value, int | float | str | None):
        return value
    try:
        return value.item()
    except (AttributeError, RuntimeError, ValueError) as error:
        raise TypeError(
            "A callback returns numbers by name for the history, and under "
            f"{name!r} it returned a {type(value).__name__}."
        ) from error


def _waited(rows: Sequence[Mapping[str, Any]], since: float) -> int:
    """Epochs since the best loss, from where the objective stayed as it is."""
    last = rows[-1]
    name = "validation_nll" if "validation_nll" in last else "loss"
    alike = [row for row in rows if row["kl_weight"] == last["kl_weight"]]
    losses = [row[name] for row in alike if row["step"] >= since]
    return len(losses) - 1 - losses.index(min(losses)) if losses else 0


def _average(ema: float | None, model: Callable, guide: Callable) -> AveragedModel | None:
    if ema is None:
        return None
    if not (isinstance(model, nn.Module) and isinstance(guide, nn.Module)):
        raise TypeError("A moving average needs a model and a guide that are modules.")
    programs = nn.ModuleList((model, guide))
    return AveragedModel(programs, multi_avg_fn=get_ema_multi_avg_fn(ema))


def _across(ranks: Ranks, bound: nn.Module, device: torch.device) -> nn.Module:
    if ranks.count == 1:
        return bound
    return DistributedDataParallel(bound, [device] if device.type == "cuda" else None)
