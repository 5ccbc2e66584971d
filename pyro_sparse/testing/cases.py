"""The rows of the table: one law, or one pair of laws, with the parameters to try."""

__all__ = ["LawCase", "RuleCase"]

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor
from torch.distributions import Distribution

Build = Callable[..., Distribution]


@dataclass(frozen=True)
class LawCase:
    """A law to check: how to build it, and double precision parameters of order one.

    Args:
        build: called with the parameters as keyword arguments, and with `validate_args`.
        parameters: differentiable parameters in double precision, broadcastable.
        constants: other keyword arguments.
        skip: checks that do not apply, by name, each with the reason.
        name: shown by the test runner; the name of the law by default.

    Example:
        >>> from pyro_sparse.distributions import HardConcrete
        >>> case = LawCase(HardConcrete, {"logits": torch.tensor([-1.0, 2.0]).double()})
        >>> case.law()
        HardConcrete(temperature: 0.6666666666666666, logits: torch.Size([2]))
    """

    build: Build
    parameters: Mapping[str, Tensor] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    skip: Mapping[str, str] = field(default_factory=dict)
    name: str = ""

    def __str__(self) -> str:
        return self.name or getattr(self.build, "__name__", repr(self.build))

    def law(self, *values: Tensor) -> Any:
        """The law at its own parameters, or at other values of them in the same order."""
        named = zip(self.parameters, values or self.parameters.values(), strict=True)
        return self.build(**dict(named), **self.constants)

    def leaves(self) -> list[Tensor]:
        """Copies of the parameters that require gradients."""
        return [value.clone().requires_grad_() for value in self.parameters.values()]

    def to(self, dtype: torch.dtype, device: torch.device | str | None = None) -> Self:
        """The same case with its parameters in another precision or place."""
        move = partial(torch.Tensor.to, dtype=dtype, device=device)
        return replace(self, parameters={k: move(v) for k, v in self.parameters.items()})


@dataclass(frozen=True)
class RuleCase:
    """A registered divergence to check.

    Args:
        q: the first law.
        p: the second law.
        expected: reference value, a function of the two laws; by default the integral of
            q (log q - log p) over the densities and atoms of both.
        compare: "equal", "bound" for a rule that lies above the reference, "up to a constant"
            for an improper p, whose divergence has a free constant.
        tolerance: largest difference from the reference allowed.
        equal: a pair of the same law, whose divergence must be 0.
        infinite: a pair whose divergence must be infinite.
        skip: checks that do not apply, by name, each with the reason.
        name: shown by the test runner.
    """

    q: LawCase
    p: LawCase
    expected: Callable[[Any, Any], Tensor] | None = None
    compare: str = "equal"
    tolerance: float = 1e-6
    equal: tuple[LawCase, LawCase] | None = None
    infinite: tuple[LawCase, LawCase] | None = None
    skip: Mapping[str, str] = field(default_factory=dict)
    name: str = ""

    def __str__(self) -> str:
        return self.name or f"{self.q}-{self.p}"
