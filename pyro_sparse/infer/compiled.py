r"""The bound as one compiled graph, kept while what it depends on stays as it is."""

__all__ = ["CompileWarning", "CompiledBound"]

import os
import shutil
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch._inductor
from pyro import poutine
from torch import Tensor

from pyro_sparse.effects import StoredParameters, emit_parameters, heard_parameters
from pyro_sparse.infer.call import Call
from pyro_sparse.infer.graph import Graph, UntraceableError, capture
from pyro_sparse.infer.parts import Parts
from pyro_sparse.infer.surroundings import Surroundings

Evaluate = Callable[..., tuple[Tensor, Parts]]
Value = TypeVar("Value")

PATIENCE = 10  # evaluations in a row that were not compiled because something kept changing
KEPT = 64  # situations that are remembered, and
KEPT_EACH = 8  # graphs for one of them

_OPAQUE = (
    "A compiled program takes tensors, numbers, text and pytrees of them, and one argument is "
    "a {0}. Register its class as a pytree (torch.export.register_dataclass({0}) for a "
    "dataclass), or pass its tensors."
)


class CompileWarning(UserWarning):
    r"""A program that was to be compiled runs eagerly."""


@dataclass
class _Compiled:
    """A graph, what it was compiled to, and how to read its outputs."""

    around: Surroundings
    graph: Graph
    run: Callable
    parts: Parts
    trained: list[int]
    parameters: list[tuple[str, Tensor]]
    joint: bool

    def __call__(self, call: Call) -> tuple[Tensor, Parts]:
        emit_parameters(self.parameters)
        inputs = [call.weight, *call.tensors, *self.graph.read()]
        if not self.joint:
            loss, *values = self.run(*inputs)
            return loss, self._parts(values)

        box: list[Tensor] = []
        loss = _Deliver.apply(self, inputs, box, *[inputs[index] for index in self.trained])
        return loss, self._parts(box)

    def _parts(self, values: Sequence[Tensor]) -> Parts:
        log_likelihood, *divergences = (value.detach() for value in values)
        kl = dict(zip(self.parts.kl, divergences, strict=True))
        return Parts(log_likelihood, kl, self.parts.analytic, self.parts.noise)


class _Deliver(torch.autograd.Function):
    """Hands gradients computed with the loss to autograd, as if it had computed them."""

    @staticmethod
    def forward(
        ctx: Any, compiled: _Compiled, inputs: list[Tensor], box: list[Tensor], *trained: Tensor
    ) -> Tensor:
        outputs = compiled.run(*[tensor.detach() for tensor in inputs])
        count = 2 + len(compiled.parts.kl)
        box.extend(outputs[1:count])
        ctx.save_for_backward(*outputs[count:])
        return outputs[0]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple:
        (scale,) = gradients
        # Reading the scale costs nothing on a CPU, and saves a pass over all gradients.
        if scale.device.type == "cpu" and scale.item() == 1:
            return (None, None, None, *ctx.saved_tensors)
        return (None, None, None, *(gradient * scale for gradient in ctx.saved_tensors))


class _Recent(dict[tuple, Value]):
    """Forgets its oldest entries."""

    def __setitem__(self, key: tuple, value: Value) -> None:
        self.pop(key, None)
        super().__setitem__(key, value)
        while len(self) > KEPT:
            del self[next(iter(self))]


class CompiledBound:
    r"""Evaluates a bound through compiled graphs, one for each situation met twice.

    A situation is what the arguments look like, the modes of torch, the handlers of Pyro that are
    active, and everything around model and guide that a graph cannot take as an input. Where
    tensors are replaced by others of the same kind, they are read anew; where anything else
    changes, the program runs eagerly, and is captured again when it meets the same situation a
    second time in a row. The oldest situations are forgotten. A copy, pickled or not, starts
    without graphs.

    Args:
        evaluate: The eager bound, a function of (weight, model, guide, args, kwargs) that returns
            the loss and its parts.
        gradients: "joint" computes them in the graph, "loss" leaves them to autograd; "auto" takes
            "joint" for programs of at most `JOINT_LIMIT` trained numbers.
        mode: Mode of torch's compiler.
        fallback: Whether what cannot be compiled runs eagerly, with a warning, instead of
            raising.
        *also: What else `evaluate` reads or changes, beside model and guide.
    """

    JOINT_LIMIT = 5_000_000

    def __init__(
        self, evaluate: Evaluate, gradients: str, mode: str, fallback: bool, *also: Any
    ) -> None:
        if gradients not in ("auto", "joint", "loss"):
            raise ValueError(f"gradients is 'auto', 'joint' or 'loss', got {gradients!r}.")
        if mode not in torch._inductor.list_mode_options():
            known = sorted(torch._inductor.list_mode_options())
            raise ValueError(f"mode is one of {known}, got {mode!r}.")
        self.evaluate = evaluate
        self.gradients = gradients
        self.mode = mode
        self.fallback = fallback
        self.also = also
        self._forget()

    def _forget(self) -> None:
        self._compiled: _Recent[list[_Compiled]] = _Recent()
        self._met: _Recent[tuple[Surroundings, list[tuple[str, Tensor]]]] = _Recent()
        self._eager: _Recent[Any] = _Recent()
        self._missed = 0

    def __getstate__(self) -> dict[str, Any]:
        # Graphs read the tensors they were captured with, which a copy does not have.
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._forget()

    def __call__(
        self,
        weight: Tensor,
        model: Callable,
        guide: Callable,
        args: tuple,
        kwargs: dict[str, Any],
        extra: Any = None,
    ) -> tuple[Tensor, Parts]:
        r"""The loss and its parts."""

        call = Call(weight, model, guide, args, kwargs)
        opaque = call.opaque
        if opaque is not None:
            self._give_up((opaque,), None, UntraceableError(_OPAQUE.format(opaque.__name__)))
            return self._run_eagerly((opaque,), call)

        key = call.key(extra)
        for compiled in self._compiled.get(key, ()):
            if compiled.around.change() is None:
                self._missed = 0
                return compiled(call)

        if key not in self._eager and self._met_again(key):
            try:
                return self._compile(key, call)(call)
            except Exception as error:
                self._give_up(key, (model, guide, call.handlers), error)
        return self._run_eagerly(key, call)

    def _give_up(self, key: tuple, held: Any, error: Exception) -> None:
        if not self.fallback:
            raise error
        if key not in self._eager:
            self._eager[key] = held  # kept, so that nothing else gets its identity
            warnings.warn(f"Stays eager. {error}", CompileWarning, stacklevel=6)

    def _run_eagerly(self, key: tuple, call: Call) -> tuple[Tensor, Parts]:
        args, kwargs = call.with_tensors(call.tensors)
        with poutine.trace(param_only=True) as heard:
            result = self.evaluate(call.weight, call.model, call.guide, args, kwargs)
        if key not in self._eager:
            parameters = heard_parameters(heard.trace)
            stored = StoredParameters(name for name, _ in parameters)
            around = Surroundings(call.model, call.guide, stored, *self.also, *call.handlers)
            self._met[key] = around, parameters
        return result

    def _met_again(self, key: tuple) -> bool:
        if key in self._met:
            changed = self._met[key][0].change()
        elif any(looks == key[-1] for *_, looks in self._met):
            changed = "the model or the guide is another object, or it"
        else:
            return False

        self._missed = 0 if changed is None else self._missed + 1
        if self._missed == PATIENCE:
            warnings.warn(
                f"Not compiled {PATIENCE} times in a row, last because {changed} had changed. "
                "Keep numbers that change from step to step in tensors (a buffer), and pass the "
                "same model and guide each time.",
                CompileWarning,
                stacklevel=6,
            )
        return changed is None

    def _compile(self, key: tuple, call: Call) -> _Compiled:
        around, parameters = self._met.pop(key)
        devices = {tensor.device.type for _, tensor in around.tensors}
        _require_compiler(devices)

        arguments = call.aliases()
        candidates = [t for _, t in around.tensors] + arguments[1:]
        trained = list({id(t): t for t in candidates if t.requires_grad}.values())
        trained = trained if torch.is_grad_enabled() else []
        joint = bool(trained) and self._wants_joint(trained)
        program = _Program(self.evaluate, call, trained if joint else [])

        graph = capture(program, arguments, around)
        around.release(graph.lifted)
        inputs = arguments + graph.lifted
        positions = {id(tensor): index for index, tensor in reversed(list(enumerate(inputs)))}
        assert program.parts is not None
        compiled = _Compiled(
            around=around,
            graph=graph,
            run=_lower(graph, inputs, self.mode, joint or not trained),
            parts=program.parts,
            trained=[positions[id(tensor)] for tensor in program.reached],
            parameters=parameters,
            joint=joint,
        )
        self._compiled[key] = [*self._compiled.get(key, ()), compiled][-KEPT_EACH:]
        return compiled

    def _wants_joint(self, trained: Sequence[Tensor]) -> bool:
        if self.gradients == "auto":
            return sum(tensor.numel() for tensor in trained) <= self.JOINT_LIMIT
        return self.gradients == "joint"


class _Program:
    """The bound as a function of tensors: loss, parts, and gradients where they are asked for."""

    def __init__(self, evaluate: Evaluate, call: Call, trained: Sequence[Tensor]) -> None:
        self.evaluate = evaluate
        self.call = call
        self.trained = trained
        self.reached: list[Tensor] = []
        self.parts: Parts | None = None

    def __call__(self, weight: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        args, kwargs = self.call.with_tensors(tensors)
        loss, self.parts = self.evaluate(weight, self.call.model, self.call.guide, args, kwargs)
        outputs = loss, self.parts.log_likelihood, *self.parts.kl.values()
        if not self.trained:
            return outputs

        gradients = torch.autograd.grad(loss, self.trained, allow_unused=True)
        pairs = [(t, g) for t, g in zip(self.trained, gradients, strict=True) if g is not None]
        self.reached = [tensor for tensor, _ in pairs]
        return (*(output.detach() for output in outputs), *(gradient for _, gradient in pairs))


def _lower(graph: Graph, inputs: Sequence[Tensor], mode: str, alone: bool) -> Callable:
    """Compiles a graph; `alone` where no gradient is asked of it later."""
    options: dict[str, Any] = dict(torch._inductor.list_mode_options(mode))
    if all(tensor.device.type == "cpu" for tensor in inputs):
        # Noise drawn number by number in a fused loop takes longer than torch's vectorised draws.
        options["fallback_random"] = True
    if not alone:
        return torch.compile(graph.module, options=options, fullgraph=True, dynamic=False)

    with torch.no_grad():
        examples: list[Any] = [tensor.detach() for tensor in inputs]
        run = torch._inductor.compile(graph.module, examples, options=options)

    def without_gradients(*tensors: Tensor) -> Sequence[Tensor]:
        with torch.no_grad():
            return run(*tensors)

    return without_gradients


def _require_compiler(devices: set[str]) -> None:
    names = [os.environ.get("CXX", "g++"), "clang++"]
    if devices <= {"cpu"} and not any(shutil.which(name) for name in names):
        raise UntraceableError(
            "Compiling for a CPU needs a C++ compiler, and none of "
            f"{names} was found. Install g++ or clang, name one in CXX, or use compile=False."
        )
