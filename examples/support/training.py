"""The loop the examples share: Adam over batches of tensors in memory, with a progress bar."""

__all__ = ["BATCH", "descend"]

from collections.abc import Callable

import torch
from torch import Tensor, nn
from tqdm import trange

BATCH = 128


def descend(
    trained: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    y: Tensor,
    epochs: int,
    lr: float,
    gate_lr: float,
    look: Callable[[], dict[str, float]],
    title: str,
) -> dict[str, list[float]]:
    """Trains at full rate for half the steps, and then at a rate that falls linearly to 0.

    Args:
        trained: Owner of the parameters.
        loss: Loss of a batch of inputs and labels, in nats an example.
        x: Inputs, `(N, *)`.
        y: Labels, `(N,)`.
        epochs: Number of passes over the data.
        lr: Learning rate.
        gate_lr: Learning rate of the gates, which usually want a larger one.
        look: What to write down every fifth epoch.
        title: What stands before the progress bar.

    Returns:
        What `look` saw, by name, and under "epoch" when.
    """
    named = list(trained.named_parameters())
    groups = [
        {"params": [p for name, p in named if ".gate." not in name], "lr": lr},
        {"params": [p for name, p in named if ".gate." in name], "lr": gate_lr},
    ]
    optimizer = torch.optim.Adam([group for group in groups if group["params"]])
    steps = epochs * len(x.split(BATCH))
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: min(1.0, 2 - 2 * t / steps))

    history: dict[str, list[float]] = {}
    with trange(1, epochs + 1, desc=title, unit="epoch") as bar:
        for epoch in bar:
            for batch in torch.randperm(len(x), device=x.device).split(BATCH):
                optimizer.zero_grad()
                loss(x[batch], y[batch]).backward()
                optimizer.step()
                rate.step()

            if epoch % 5 == 0 or epoch == epochs:
                facts = look()
                bar.set_postfix({name: f"{value:.3g}" for name, value in facts.items()})
                for name, value in {"epoch": epoch, **facts}.items():
                    history.setdefault(name, []).append(value)
    return history
