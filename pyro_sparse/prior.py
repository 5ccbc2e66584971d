r"""A prior as a module: its tensors are buffers, its statement is one call."""

__all__ = ["Prior"]

import copy
from typing import Any

import pyro
import torch
from pyro.distributions import TorchDistribution
from torch import Tensor, nn

from pyro_sparse.local import law_tensors, with_law_tensors


class Prior(nn.Module):
    r"""The prior of one site.

    The tensors of the law are this module's buffers (or its parameters, where they are), so
    they follow `.to()` and enter checkpoints. The law is rebuilt when one of them is replaced and
    sees it when one is changed in place.

    Args:
        site: Name of the site.
        law: An elementwise law that can be expanded to `shape`.
        shape: Shape of the site's value.
        initial: The value that the network had, `shape`, or None.
        role: "weight" or "gate".

    Attributes:
        like: A number of the dtype and on the device of the site's value.
        counted: Which entries the divergence counts, `(*shape)`; None for all of them.
    """

    initial: Tensor | None
    like: Tensor
    counted: Tensor | None

    def __init__(
        self,
        site: str,
        law: TorchDistribution,
        shape: torch.Size,
        initial: Tensor | None,
        role: str,
    ) -> None:
        super().__init__()
        _check_shape(site, law, shape)
        self.site = site
        self.shape = shape
        self.role = role
        self.shared = False
        self.batch_dim = 0
        self.infer: Any = {}
        self.register_buffer("initial", initial, persistent=False)
        self.register_buffer("like", torch.zeros(()), persistent=False)
        self.register_buffer("counted", None, persistent=False)

        self._base: Any = copy.deepcopy(law)
        self._names = {name: name.replace(".", "__") for name, _ in law_tensors(self._base)}
        for name, tensor in law_tensors(self._base):
            if isinstance(tensor, nn.Parameter):
                self.register_parameter(self._names[name], tensor)
            else:
                self.register_buffer(self._names[name], tensor)
        self._law = self._expanded()

    @property
    def base(self) -> TorchDistribution:
        r"""The law as it was given, over this module's tensors."""

        self._refresh()
        return self._base

    @property
    def law(self) -> TorchDistribution:
        r"""The law of the site's value: expanded, all dimensions event dimensions."""

        self._refresh()
        if self.counted is None:
            return self._law
        return self._law.base_dist.mask(self.counted).to_event(len(self.shape))

    def draw(self) -> Tensor:
        r"""The site's `pyro.sample` statement."""

        return pyro.sample(self.site, self.law, infer={**self.infer})

    def extra_repr(self) -> str:
        return f"{self.site} ~ {type(self._base).__name__}, shape={tuple(self.shape)}"

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        # Pickling gives the expanded law storage of its own.
        self._law = self._expanded()

    def _refresh(self) -> None:
        mine = {name: getattr(self, attribute) for name, attribute in self._names.items()}
        if any(tensor is not mine.get(name) for name, tensor in self._held()):
            self._base = with_law_tensors(self._base, mine)
            self._law = self._expanded()

    def _held(self) -> list[tuple[str, Tensor]]:
        return [(name, tensor) for name, tensor in law_tensors(self._base) if name in self._names]

    def _expanded(self) -> TorchDistribution:
        return self._base.expand(self.shape).to_event(len(self.shape))


def _check_shape(site: str, law: TorchDistribution, shape: torch.Size) -> None:
    if law.event_shape:
        raise ValueError(
            f"A prior is a law of single numbers, and that of '{site}' has events of shape "
            f"{tuple(law.event_shape)}. Give it without to_event."
        )
    if not _is_expandable(law.batch_shape, shape):
        raise ValueError(
            f"The prior of '{site}' has batch shape {tuple(law.batch_shape)}, which does not "
            f"expand to {tuple(shape)}. Give one number, or a function of (name, shape, group "
            "size)."
        )


def _is_expandable(given: torch.Size, wanted: torch.Size) -> bool:
    try:
        return torch.broadcast_shapes(given, wanted) == wanted
    except RuntimeError:
        return False
