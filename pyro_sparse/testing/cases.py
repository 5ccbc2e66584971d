"""The rows of the table: one law, or one pair of laws, with the parameters to try."""

__all__ = ["LawCase", "RuleCase", "applicable", "require_double"]

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Self, TypeVar

import torch
from torch import Tensor
from torch.distributions import Distribution

from pyro_sparse.distributions.checks import require

Check = TypeVar("Check")
Build = Callable[..., Distribution]


@dataclass(frozen=True)
class LawCase:
    """A law to check: how to build it, and double precision parameters of order one.

    The law is elementwise, with a density on a support that is the same for the whole batch. If
    it has atoms, its support is [0, 1] and they are at 0 and 1 only; `log_prob` there is the log
    probability of the atom, minus infinity where there is none.

    Args:
        build: a class or a function, called with the parameters and the constants as keyword
            arguments; the check `support` adds `validate_args=True` if `build` takes that.
        parameters: differentiable parameters in double precision, broadcastable.
        constants: other keyword arguments, handed on as they are; tensors of numbers belong to
            the parameters, which are tried in single precision too.
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

    @property
    def takes_validate_args(self) -> bool:
        """Whether `build` has an argument `validate_args`, or takes any."""
        arguments = inspect.signature(self.build).parameters
        return "validate_args" in arguments or any(
            argument.kind is argument.VAR_KEYWORD for argument in arguments.values()
        )

    def law(self, *values: Tensor, validate_args: bool | None = None) -> Any:
        """The law at its own parameters, or at other values of them in the same order.

        `validate_args` is handed to `build` if it is given and `build` takes it.
        """
        arguments = dict(zip(self.parameters, values or self.parameters.values(), strict=True))
        asked = validate_args is not None and self.takes_validate_args
        options = {"validate_args": validate_args} if asked else {}
        return self.build(**arguments, **dict(self.constants) | options)

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


def applicable(
    checks: Mapping[str, Check], name: str | None, skip: Mapping[str, str]
) -> list[Check]:
    """The checks to run: one by name, or all, without those to skip.

    Args:
        checks: the table of all there are.
        name: a key of the table, or `None` for all. Raises a `ValueError` if there is none.
        skip: keys of the table, each with the reason. Raises a `ValueError` likewise.
    """
    known = ", ".join(checks)
    if name is not None:
        require(name in checks, name, "A check needs a known name", f"Known are {known}.")
    for key in skip:
        require(key in checks, key, "`skip` needs names of checks", f"Known are {known}.")

    return [checks[key] for key in ([name] if name else checks) if key not in skip]


def require_double(case: LawCase) -> None:
    """Raises a `ValueError` that names a parameter which is not in double precision."""
    for name, value in case.parameters.items():
        require(
            value.dtype == torch.float64,
            value.dtype,
            f"{case} needs {name} in double precision to be checked",
            "Call `.double()` on it; the check `precision` tries single precision by itself.",
        )
