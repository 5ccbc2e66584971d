r"""A whole step of training, the optimiser's part included, in one compiled graph."""

__all__ = ["TrainingStep"]

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from pyro_sparse.infer.elbo import TraceSparse_ELBO
from pyro_sparse.infer.parts import Parts


class TrainingStep:
    r"""A step of stochastic variational inference: loss, gradients and update in one call.

    The same as

        optimizer.zero_grad()
        loss = bound(x, y)
        loss.backward()
        optimizer.step()

    with `bound = elbo(model, guide)`. Where `elbo` compiles, so does this, to one graph for the
    whole step, in which gradients are used up where they arise and are never stored. Learning
    rates are read anew in each step, so that torch's schedulers work; another change of the
    optimiser's settings means another graph.

    For loops that look at no gradient between `backward` and `step`. Not for accumulated or
    scaled gradients, nor under DistributedDataParallel: there use `elbo(model, guide)`.

    References:
        PyTorch 2: Faster Machine Learning Through Dynamic Python Bytecode Transformation and
        Graph Compilation (Ansel et al., 2024), https://doi.org/10.1145/3620665.3640366

    Args:
        elbo: The bound, which keeps its parts as usual.
        model: The model.
        guide: The guide, whose parameters exist.
        optimizer: A torch optimiser of the parameters of both.
        before_update: What to do between gradients and update, such as clipping:
            `lambda: nn.utils.clip_grad_norm_(parameters, 1.0)`.

    Raises:
        TypeError: `optimizer` is none of torch's.

    Example:
        >>> from torch import nn
        >>> from pyro_sparse.distributions import LogUniform
        >>> from pyro_sparse.guides import AutoSparse
        >>> from pyro_sparse.nn import Classifier, bayesianize
        >>> model = Classifier(bayesianize(nn.Linear(4, 3), weight=LogUniform()), num_data=100)
        >>> guide = AutoSparse(model)
        >>> optimizer = torch.optim.Adam(nn.ModuleList([model, guide]).parameters())
        >>> step = TrainingStep(TraceSparse_ELBO(), model, guide, optimizer)
        >>> loss = step(torch.randn(8, 4), torch.zeros(8).long())
        >>> loss.shape
        torch.Size([])
    """

    def __init__(
        self,
        elbo: TraceSparse_ELBO,
        model: Callable,
        guide: Callable,
        optimizer: Optimizer,
        *,
        before_update: Callable[[], Any] | None = None,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(
                f"TrainingStep needs an optimiser of torch.optim, got {type(optimizer).__name__}. "
                "Use pyro.infer.SVI with those of pyro.optim."
            )
        self.elbo = elbo
        self.model = model
        self.guide = guide
        self.optimizer = optimizer
        self.before_update = before_update
        self._evaluate = elbo.compiled(self._update, optimizer, before_update)
        self._rates: list[Tensor] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        r"""Takes one step.

        Args:
            *args: Arguments of model and guide.
            **kwargs: Their keyword arguments.

        Returns:
            The negative bound before the update, a scalar in nats, detached.
        """

        return self.elbo.run(self._step, self.model, self.guide, args, kwargs)

    def _step(self, *program: Any) -> tuple[Tensor, Parts]:
        with torch.no_grad(), self._recordable():
            return self._evaluate(*program)

    def _update(
        self,
        weight: float | Tensor,
        model: Callable,
        guide: Callable,
        args: tuple,
        kwargs: dict[str, Any],
    ) -> tuple[Tensor, Parts]:
        with torch.enable_grad():
            loss, parts = self.elbo.evaluate(weight, model, guide, args, kwargs)
            gradients = torch.autograd.grad(loss, self._trained(), allow_unused=True)

        for parameter, gradient in zip(self._trained(), gradients, strict=True):
            parameter.grad = gradient
        if self.before_update is not None:
            self.before_update()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.detach(), parts

    def _trained(self) -> list[Tensor]:
        groups = self.optimizer.param_groups
        return [p for group in groups for p in group["params"] if p.requires_grad]

    @contextmanager
    def _recordable(self) -> Iterator[None]:
        """Keeps the optimiser's numbers in tensors, as far as a graph needs them there."""
        if not self.elbo.compile:
            yield
            return

        groups, compiling = self.optimizer.param_groups, torch.compiler._is_compiling_flag
        given = [dict(group) for group in groups]
        try:
            # Only a compiler may ask torch's optimisers for this on every device.
            torch.compiler._is_compiling_flag = True
            for group, rate in zip(groups, self._tensor_rates(), strict=True):
                wanted = {"lr": rate, "capturable": True, "foreach": True, "fused": False}
                group.update({key: value for key, value in wanted.items() if key in group})
            yield
        finally:
            torch.compiler._is_compiling_flag = compiling
            for group, before in zip(groups, given, strict=True):
                group.update(before)

    def _tensor_rates(self) -> list[Tensor]:
        groups = self.optimizer.param_groups
        if len(self._rates) != len(groups):
            self._rates = [torch.empty((), device=group["params"][0].device) for group in groups]
        return [rate.fill_(g["lr"]) for rate, g in zip(self._rates, groups, strict=True)]
