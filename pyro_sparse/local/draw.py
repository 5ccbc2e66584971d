r"""One sample that is drawn late: as a number, per example, or through what it multiplies.

A `Draw` hands out exactly one of

- a *number*: one ordinary sample, kept and given again;
- *rows*: one sample per example of a batch, kept and given again to the same batch (gates);
- *moments*: mean and variance of each element, so that what the weight is multiplied into can be
  drawn instead of the weight (once).
"""

__all__ = ["Draw", "SecondUseError", "in_backward"]

from collections.abc import Callable

import torch
from pyro.distributions import Delta
from torch import Tensor
from torch.distributions import Distribution, Normal

from pyro_sparse.local.parameters import law_tensors


class SecondUseError(RuntimeError):
    r"""A local sample was asked for in two ways that cannot both be right."""


class Draw:
    r"""The state of one deferred sample.

    Args:
        law: The law of the sample, of batch shape `(*batch)` and without event dimensions.
        batch_dim: The dimension of an activation that counts examples.
    """

    __slots__ = ("_kept", "_recomputed", "_segment", "batch_dim", "law", "site", "used")

    def __init__(self, law: Distribution, batch_dim: int = 0) -> None:
        self.law = law
        self.batch_dim = batch_dim
        self.site = "<unnamed>"
        self.used: str | None = None
        self._kept: Tensor | None = None
        self._recomputed: tuple[int, Tensor] | None = None
        self._segment: object = None

    @property
    def is_number(self) -> bool:
        return self.used == "global"

    def number(self) -> Tensor:
        r"""One ordinary sample of shape `(*batch)`."""

        self._claim("global", "one number")
        return self._keep(self.law.rsample)

    def rows(self, size: int) -> Tensor:
        r"""One sample per example, of shape `(size, *batch)`."""

        self._claim(f"per example ({size})", f"one draw for each of {size} examples")
        return self._keep(lambda: self.law.rsample(torch.Size([size])))

    def moments(self) -> tuple[Tensor, Tensor | None]:
        r"""Mean and variance, both `(*batch)`; the variance is None where there is none."""

        if self.used is not None and not in_backward():
            raise self._second_use("the noise of another pre-activation")
        self.used = "local"

        if isinstance(self.law, Delta):
            return self.law.v, None

        assert isinstance(self.law, Normal)
        return self.law.loc, self.law.scale.square()

    @property
    def has_moments(self) -> bool:
        return not self.is_number and isinstance(self.law, (Normal, Delta))

    def _claim(self, use: str, wanted: str) -> None:
        if self.used is not None and self.used != use:
            raise self._second_use(wanted)
        self.used = use

    def _second_use(self, wanted: str) -> SecondUseError:
        return SecondUseError(
            f"A local sample is used in one way only: site '{self.site}' was already drawn "
            f"{self.used} and is now asked for {wanted}, which would be a second, independent "
            "draw of the same variable. Draw it once for all uses with Local(law, shared=True) or "
            "AutoSparse(model, shared=True)."
        )

    def _keep(self, draw: Callable[[], Tensor]) -> Tensor:
        if in_backward():
            return self._again(draw)

        segment = _checkpoint_segment()
        if self._kept is None:
            self._kept, self._segment = draw(), segment
        elif self._segment is not None and self._segment is not segment:
            raise SecondUseError(
                f"Site '{self.site}' was drawn inside one checkpointed segment and is used in "
                "another, where recomputation could not repeat the draw. Checkpoint both uses "
                "together, or draw it once with Local(law, shared=True)."
            )
        return self._kept

    def _again(self, draw: Callable[[], Tensor]) -> Tensor:
        if self._kept is not None and self._segment is None:
            self._refuse_lost_gradient(self._kept)
            return self._kept

        # Checkpointing has put back the state of the generator: the same draw comes again, once
        # for every backward pass.
        task = torch._C._current_graph_task_id()
        if self._recomputed is None or self._recomputed[0] != task:
            self._recomputed = task, draw()
        return self._recomputed[1]

    def _refuse_lost_gradient(self, kept: Tensor) -> None:
        trained = any(tensor.requires_grad for _, tensor in law_tensors(self.law))
        if trained and not kept.requires_grad and torch.is_grad_enabled():
            raise SecondUseError(
                f"Site '{self.site}' was drawn without gradients inside a reentrant checkpoint. "
                "Use torch.utils.checkpoint.checkpoint(..., use_reentrant=False)."
            )


def in_backward() -> bool:
    r"""Whether gradients are being computed: what runs now is run a second time."""

    return torch._C._current_graph_task_id() != -1


def _checkpoint_segment() -> object:
    hooks = torch._C._autograd._top_saved_tensors_default_hooks(True)
    return None if hooks is None else hooks[0]
