"""Several optimisers as one: weights by SGD and gates by Adam, for example."""

__all__ = ["Together"]

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

Make = Callable[[list[dict[str, Any]]], Optimizer]


class Together(Optimizer):
    """Steps each group of parameters by an optimiser of its own.

    To schedulers and checkpoints it is one optimiser with all groups.

    Args:
        groups: Groups of parameters, each with a "name".
        makers: For each name, what makes its optimiser.
    """

    def __init__(self, groups: list[dict[str, Any]], makers: Mapping[str, Make]) -> None:
        self.members = [makers[group["name"]]([group]) for group in groups]
        super().__init__([group for m in self.members for group in m.param_groups], {})
        self._share()

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._share()

    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:  # type: ignore[override]
        loss = None if closure is None else closure()
        for member in self.members:
            member.step()
        return loss

    def _share(self) -> None:
        """Members work on the groups and the state of the whole."""
        for member, group in zip(self.members, self.param_groups, strict=True):
            member.param_groups, member.state = [group], self.state
