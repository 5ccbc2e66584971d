r"""The evidence lower bound for programs whose samples remember their laws."""

__all__ = ["Parts", "TraceSparse_ELBO"]

import functools
import math
from collections.abc import Callable, Hashable
from numbers import Real
from typing import Any

import torch
from pyro.infer import ELBO
from pyro.poutine.trace_struct import Trace
from torch import Tensor

from pyro_sparse.infer.bound import evaluate, run_pair
from pyro_sparse.infer.compiled import CompiledBound
from pyro_sparse.infer.parts import Parts
from pyro_sparse.local import variances_in

Evaluate = Callable[..., tuple[Tensor, Parts]]
Weight = float | Tensor | Callable[[int], float | Tensor]


class TraceSparse_ELBO(ELBO):
    r"""Creates the evidence lower bound, with a rule for every divergence that has one.

    .. math::
        L = E_q [\log p(y | z)] - \beta \sum_s P(g_s \ne 0) \, KL(q(z_s) \| p(z_s))

    where :math:`g_s` is the gate that the model names at site :math:`s` with
    `infer={"gated_by": gate}`, if any (the bound of a spike-and-slab posterior), and
    :math:`\beta` is `kl_weight`.

    Beside Pyro's mean-field bound it

    - understands `Local` samples, and evaluates no density of a weight;
    - takes a divergence from the registry, and estimates one from a draw only where there is no
      rule and neither law has atoms; `parts` says which;
    - counts the Jacobian that a point mass carries, which its rules know nothing of;
    - asks model and guide to state the same scale and mask: to temper the divergences, use
      `kl_weight`, not `poutine.scale`.

    Works in `pyro.infer.SVI`, and as a module, `elbo(model, guide)`, with any torch optimiser.
    A gate without an atom, such as `MixtureGate`, makes the product with its probability a
    relaxed penalty and no longer a bound.

    References:
        | Auto-Encoding Variational Bayes (Kingma and Welling, 2014)
        | https://arxiv.org/abs/1312.6114
        | Variational Dropout and the Local Reparameterization Trick (Kingma et al., 2015)
        | https://arxiv.org/abs/1506.02557

    Args:
        kl_weight: The factor of the divergences: a number, a tensor or a function of the step;
            may be changed between steps.
        num_particles: Number of draws the bound is averaged over.
        compile: True runs guide, model, divergences and gradients as one compiled graph; "auto"
            does so where it can, and else runs eagerly with one warning. The first evaluation
            of its kind is always eager. On a CPU both draw the same numbers from a seed.
        gradients: How a compiled bound is differentiated: "joint" in the graph itself, which is
            fastest on small networks; "loss" by autograd, which compiles faster on large ones;
            "auto" takes "joint" up to five million trained numbers.
        mode: Mode of torch's compiler: "default", "reduce-overhead" (CUDA graphs) or
            "max-autotune".
        variance_dtype: A lower precision for the variances of local samples: `torch.bfloat16`
            is faster where the hardware has it, and changes the size of the noise by less than
            1%. The means keep their precision.
        cache_key: A function of no arguments whose value stands for state of the program that
            cannot be found by looking at it; another value means another graph.
    """

    def __init__(
        self,
        *,
        kl_weight: Weight = 1.0,
        num_particles: int = 1,
        compile: bool | str = False,
        gradients: str = "auto",
        mode: str = "default",
        variance_dtype: torch.dtype | None = None,
        cache_key: Callable[[], Hashable] | None = None,
    ) -> None:
        if num_particles < 1:
            raise ValueError(f"num_particles is at least 1, got {num_particles}.")
        if compile not in (False, True, "auto"):
            raise ValueError(f"compile is False, True or 'auto', got {compile!r}.")
        super().__init__(num_particles=num_particles)
        self.kl_weight = kl_weight
        self.compile = compile
        self.gradients = gradients
        self.mode = mode
        self.variance_dtype = variance_dtype
        self.cache_key = cache_key
        self.step = 0
        self.parts: Parts | None = None
        self._bound = self.compiled(self.evaluate)

    def loss(self, model: Callable, guide: Callable, *args: Any, **kwargs: Any) -> Tensor:
        r"""The negative bound, a scalar in nats, without gradients."""

        with torch.no_grad():
            return self.differentiable_loss(model, guide, *args, **kwargs)

    def loss_and_grads(
        self, model: Callable, guide: Callable, *args: Any, **kwargs: Any
    ) -> Tensor:
        r"""The negative bound, after adding its gradients to the parameters'."""

        loss = self.differentiable_loss(model, guide, *args, **kwargs)
        if loss.requires_grad:
            loss.backward()
        return loss.detach()

    def differentiable_loss(
        self, model: Callable, guide: Callable, *args: Any, **kwargs: Any
    ) -> Tensor:
        r"""The negative bound, a scalar in nats that can be differentiated.

        Args:
            model: The model, which observes at least one site.
            guide: The guide, which samples the model's latent sites.
            *args: Arguments of both.
            **kwargs: Keyword arguments of both.

        Raises:
            ValueError: Model and guide do not fit each other.
            TypeError: A divergence has no rule and cannot be estimated from a draw.
        """

        return self.run(self._bound, model, guide, args, kwargs)

    def evaluate(
        self,
        weight: float | Tensor,
        model: Callable,
        guide: Callable,
        args: tuple,
        kwargs: dict[str, Any],
    ) -> tuple[Tensor, Parts]:
        r"""The negative bound and its parts, eagerly.

        Args:
            weight: The factor of the divergences.
            model: The model.
            guide: The guide.
            args: Arguments of both.
            kwargs: Keyword arguments of both.
        """

        with variances_in(self.variance_dtype):
            return evaluate(weight, model, guide, args, kwargs, self.num_particles)

    def compiled(self, evaluate: Evaluate, *also: Any) -> Evaluate:
        r"""A way to evaluate the bound, compiled if this bound is.

        Args:
            evaluate: A function of (weight, model, guide, args, kwargs) that returns the loss and
                its parts.
            *also: What else it reads or changes, beside model and guide.
        """

        if not self.compile:
            return evaluate
        auto = self.compile == "auto"
        bound = CompiledBound(evaluate, self.gradients, self.mode, auto, *also)
        return functools.partial(self._run_compiled, bound)

    def run(
        self, evaluate: Evaluate, model: Callable, guide: Callable, args: tuple, kwargs: dict
    ) -> Tensor:
        r"""The loss that `evaluate` finds at the present step; keeps the parts, and counts it.

        Args:
            evaluate: What `compiled` returns.
            model: The model.
            guide: The guide.
            args: Arguments of both.
            kwargs: Keyword arguments of both.
        """

        loss, self.parts = evaluate(self._current_weight(), model, guide, args, kwargs)
        self.step += torch.is_grad_enabled()
        return loss

    def _run_compiled(
        self,
        bound: CompiledBound,
        weight: float | Tensor,
        model: Callable,
        guide: Callable,
        args: tuple,
        kwargs: dict[str, Any],
    ) -> tuple[Tensor, Parts]:
        state = self.cache_key and self.cache_key()
        extra = self.num_particles, self.variance_dtype, state
        weight = torch.as_tensor(weight, dtype=torch.get_default_dtype())
        return bound(weight, model, guide, args, kwargs, extra)

    def _get_trace(
        self, model: Callable, guide: Callable, args: tuple, kwargs: dict[str, Any]
    ) -> tuple[Trace, Trace]:
        return run_pair(model, guide, args, kwargs)

    def _current_weight(self) -> float | Tensor:
        weight = self.kl_weight(self.step) if callable(self.kl_weight) else self.kl_weight
        _check_weight(weight)
        return weight


def _check_weight(weight: object) -> None:
    single = weight.ndim == 0 if isinstance(weight, Tensor) else isinstance(weight, Real)
    if not single:
        raise ValueError(
            "kl_weight is one number, a tensor without dimensions or a function of the step that "
            f"returns one, got {weight!r}."
        )

    # A tensor elsewhere is not waited for.
    value: Any = weight.detach() if isinstance(weight, Tensor) else weight
    known = not isinstance(value, Tensor) or value.device.type == "cpu"
    if known and not 0 <= value < math.inf:
        raise ValueError(f"kl_weight is finite and not negative, got {weight}.")
