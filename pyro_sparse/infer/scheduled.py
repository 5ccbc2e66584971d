r"""Numbers of priors and posteriors that change during a training: temperatures, penalties."""

__all__ = ["Scheduled"]

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pyro_sparse.prior import Prior

Factor = Callable[[int], float]


class Scheduled(nn.Module):
    r"""Sets tensors of laws to what they were made with, times a function of the step.

    They are set in place, so that a compiled bound sees them and is not compiled again. What they
    were made with is part of this module's state: a training that goes on knows it.

    Args:
        programs: Model and guide.
        factors: Functions of the step, by the name of what they scale: "temperature" is that of
            all sites, "fc1.gate.temperature" that of one.

    Raises:
        ValueError: No tensor has such a name, or it is trained.

    Example:
        >>> from pyro_sparse.distributions import L0
        >>> from pyro_sparse.guides import AutoSparse
        >>> from pyro_sparse.infer.schedules import linear
        >>> from pyro_sparse.nn import bayesianize
        >>> model = bayesianize(nn.Linear(3, 2), gate=L0(0.5))
        >>> scheduled = Scheduled((model, AutoSparse(model)), {"penalty": linear(0, 1, steps=10)})
        >>> scheduled.set(5)
        >>> dict(model.named_buffers())["priors.gate.penalty"]
        tensor(0.5000)

        By hand, `tensor.fill_(value)` does, for the buffers whose names end so.
    """

    def __init__(self, programs: tuple[Any, ...], factors: Mapping[str, Factor]) -> None:
        super().__init__()
        self._factors: dict[str, Factor] = {}
        self._tensors: dict[str, Tensor] = {}
        self._last: dict[str, float] = {}
        known = dict(_tensors(programs))

        for wanted, factor in factors.items():
            for name in _matching(wanted, known):
                self._factors[name], self._tensors[name] = factor, known[name]
        for index, tensor in enumerate(self._tensors.values()):
            self.register_buffer(f"made_{index}", tensor.clone())

    @torch.no_grad()
    def set(self, step: int) -> None:
        r"""Sets all of them.

        Args:
            step: Number of steps that were made.

        Raises:
            ValueError: A factor is not finite.
        """

        for index, (name, tensor) in enumerate(self._tensors.items()):
            factor = float(self._factors[name](step))
            if factor != self._last.get(name):
                _require_finite(name, factor, step)
                tensor.copy_(getattr(self, f"made_{index}") * factor)
                self._last[name] = factor

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        self._last.clear()
        return super().load_state_dict(*args, **kwargs)


def _tensors(programs: tuple[Any, ...]) -> Iterator[tuple[str, Tensor]]:
    """What laws are made of, as "site.name"."""
    for program in programs:
        if not isinstance(program, nn.Module):
            continue
        for path, module in program.named_modules():
            site = module.site if isinstance(module, Prior) else path.removeprefix("sites.")
            own = [*module.named_buffers(recurse=False), *module.named_parameters(recurse=False)]
            for name, tensor in own:
                yield f"{site}.{name.split('__')[-1]}", tensor


def _matching(wanted: str, known: Mapping[str, Tensor]) -> list[str]:
    found = [name for name in known if name == wanted or name.endswith(f".{wanted}")]
    if not found:
        numbers = {n.split(".")[-1] for n, t in known.items() if not isinstance(t, nn.Parameter)}
        raise ValueError(
            f"What is scheduled is a tensor of a law, and none is named '{wanted}'. There are "
            f"{', '.join(sorted(numbers - {'initial', 'like'}))}; name one of them, or "
            "'site.name' for a single site."
        )

    trained = [name for name in found if isinstance(known[name], nn.Parameter)]
    if trained:
        raise ValueError(
            f"'{wanted}' is trained ({', '.join(trained[:3])}), and only what is not can follow a "
            "schedule. Schedule its learning rate instead."
        )
    return found


def _require_finite(name: str, factor: float, step: int) -> None:
    if not math.isfinite(factor):
        raise ValueError(
            f"A scheduled number is scaled by a finite factor, and '{name}' would be by {factor} "
            f"at step {step}."
        )
