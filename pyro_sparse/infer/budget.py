r"""Budgets: the size that a network shall have, in the place of a penalty to tune."""

__all__ = ["Budget"]

import functools
import itertools
import math
from dataclasses import dataclass
from typing import Any

import pyro
import torch
from pyro.distributions import Unit
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import get_proxy_mode

from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer.closing import close, reopen
from pyro_sparse.infer.cut import cut, refill
from pyro_sparse.infer.limits import Limits, limits, meant
from pyro_sparse.infer.sizes import Chances, Sizes
from pyro_sparse.prune.mask import masks

UPDATES = 300  # of the multipliers in a training
DAMPING = 0.2  # nats an example for an excess of 1: pressure falls before the size does too far
AFTERWARDS = 0.25  # of the third stage: its beginning
HALVED = 0.01  # share of a training in which pressure that is not needed is halved
MARGIN = 0.05  # the multipliers stop above the budget: what is closed hardly opens again


class Budget(nn.Module):
    r"""Creates a bound on the size of the network that training leads to.

    .. math::
        \max_q L(q) \quad\text{subject to}\quad \log S(q) \le \log b

    where :math:`S` is the expected number of weights (or multiply-adds) under the posterior: a
    weight counts if its input arrives, its output is read by an open gate further on, and it is
    not dropped itself. The Lagrangian :math:`L - N \lambda (\log S - \log b)` is minimised by the
    optimiser of the training, and :math:`\lambda` follows the excess :math:`e = \log S - \log b`
    like a controller with a proportional and an integral part, so that no strength is tuned:

    .. math::
        \lambda = \max(0, I + 0.2\, e), \qquad \dot I = \mathrm{gain} \cdot e

    with time in trainings; and :math:`I` halves in each hundredth of the training in which there
    is no excess, as pressure that was needed on the way down is too much below (a soft form of a
    dual restart).

    What counts in the end is the network with exact zeros, not the expectation: a hard concrete
    gate, for example, is closed from P(active) = 0.31 on. Hence three stages, given as shares of
    the training:

    - until the second number of `stages`, from the first on, the allowed size falls evenly (in
      logarithms) from that of the whole network to the budget;
    - from there :math:`\lambda` listens more and more to the size of the network that `freeze`
      and `compact` would make now, while its gradient stays that of the expectation (a proxy
      constraint). That size has a limit of its own, which falls evenly from where it is then to
      the budget: where pressure is too slow for it, what is least likely to be open is closed
      for good, just as much as is too much;
    - from the third on the budget is kept exactly, and training goes on with what is left. Where
      the budget had to press since the middle of the first stage, and left the network smaller
      than it may be, what is most likely to be open is opened again, as much as fits; so once
      more a little later, as an optimiser's momentum goes on closing.

    So the size does not end above the budget where gates are as `gate_sites` proposes them, each
    removing something of its own. It ends below where single units are large beside the budget,
    or where the prior closes more than the budget asks for: a budget is no promise to use it up.
    In a training of few steps gates hardly move, most of the closing is left to the limit of the
    second stage, and the error shows it: then train longer or with a larger `gate_lr`.

    Entries without a probability of being 0, such as weights of sparse variational dropout, are
    counted as their criterion has it from the beginning, and the gradient is that of a sigmoid
    around its threshold. For programs made by `bayesianize` and `AutoSparse`; a guide written by
    hand has no laws that could be asked without sampling. Multiply-adds count units, not single
    zeros.

    The multipliers are our own few lines: libraries for constrained optimisation want to own
    the step (loss, backward and both updates), which belongs to the bound here, is compiled, and
    is scaled and clipped by others.

    References:
        | Controlled Sparsity via Constrained Optimization (Gallego-Posada et al., 2022)
        | https://arxiv.org/abs/2208.04425
        | Two-Player Games for Efficient Non-Convex Constrained Optimization (Cotter, Jiang,
        | Sridharan, 2019) https://arxiv.org/abs/1804.06500
        | On PI Controllers for Updating Lagrange Multipliers in Constrained Optimization (Sohrabi,
        | Ramirez, Zhang, Lacoste-Julien, Gallego-Posada, 2024) https://arxiv.org/abs/2406.04558

    Args:
        weights: Weights to keep, matrices and convolution kernels but no biases: a share up to 1,
            or a number.
        macs: Multiply-adds to keep, likewise.
        sparsity: 1 - `weights`, as a share.
        per_layer: Whether each layer that can shrink has this share of its own size; otherwise
            layers share one budget. Layers share units, too, and a layer without gates or
            droppable weights of its own ends below its share where its neighbours' gates make it
            so.
        stages: The three shares of the training, as above.
        gain: By how much the multiplier rises over a whole training at an excess of 1, in nats an
            example.

    Example:
        By hand, what `fit(..., budget=Budget(weights=0.05))` does::

            budget = Budget(weights=0.05)
            bounded = budget.attach(model, guide, x[:1])
            bound = TraceSparse_ELBO()(bounded, guide)
            for step in range(1, steps + 1):
                ...  # loss, backward, optimizer.step()
                budget.update(step, steps)

        >>> Budget(sparsity=0.9)
        Budget(weights=0.1)
    """

    multiplier: Tensor
    integral: Tensor
    start: Tensor
    reached: Tensor
    settled: Tensor
    pressed: Tensor

    def __init__(
        self,
        *,
        weights: float | None = None,
        macs: float | None = None,
        sparsity: float | None = None,
        per_layer: bool = False,
        stages: tuple[float, float, float] = (0.05, 0.5, 0.75),
        gain: float = 10.0,
    ) -> None:
        super().__init__()
        self.kind, self.limit = meant(weights, macs, sparsity)
        if per_layer and self.limit > 1:
            raise ValueError(
                f"A budget per layer is a share of each layer, at most 1, got {self.limit}."
            )
        if len(stages) != 3 or not 0 <= stages[0] <= stages[1] <= stages[2] <= 1:
            raise ValueError(f"stages are three shares in rising order, got {stages}.")
        if not 0 < gain < math.inf:
            raise ValueError(f"gain is positive and finite, got {gain}.")

        self.per_layer, self.stages, self.gain = per_layer, stages, gain
        for name in ("multiplier", "integral", "start", "reached"):
            self.register_buffer(name, torch.zeros(1))
        self.register_buffer("settled", torch.zeros((), dtype=torch.bool))
        self.register_buffer("pressed", torch.zeros(1, dtype=torch.bool))
        self._about: _About | None = None

    def attach(
        self, model: nn.Module, guide: AutoSparse, example_input: Any, num_data: int | None = None
    ) -> nn.Module:
        r"""The model with the constraint as one more term; model and guide stay as they are.

        Args:
            model: A model around a network made by `bayesianize`.
            guide: Its guide.
            example_input: A batch, one example suffices, or a tuple of the network's arguments.
            num_data: Number of examples; by default that of the model.

        Raises:
            TypeError: The guide is not an `AutoSparse`.
            ValueError: The budget cannot be reached.
        """

        if not isinstance(guide, AutoSparse):
            raise TypeError(
                "A budget asks a guide for its laws without sampling: give one made by "
                f"AutoSparse, got {type(guide).__name__}."
            )
        sizes = Sizes(model, guide, example_input, self.kind)
        kept = sizes.kept()
        self._about = _About(sizes, guide, list(kept), limits(sizes, self.limit, self.per_layer))

        excess = self._excess(kept)
        self.multiplier, self.integral = torch.zeros_like(excess), torch.zeros_like(excess)
        self.start, self.reached = excess.clamp(min=0), excess.clamp(min=0)
        self.settled = torch.zeros_like(excess[0], dtype=torch.bool)
        self.pressed = torch.zeros_like(excess, dtype=torch.bool)
        for index, site in enumerate(kept):
            self.register_buffer(f"closed_{index}", torch.zeros_like(kept[site], dtype=torch.bool))
        examples = getattr(model, "num_data", 1) if num_data is None else num_data
        return _Bounded(model, self, examples)

    def penalty(self) -> Tensor:
        r"""The Lagrangian's term, in nats an example: a scalar, differentiable."""

        chances = self.about.sizes.expected()
        excess = self._by_own_means(chances) if self.per_layer else self._excess(chances)
        return (self.multiplier * excess).sum()

    @torch.no_grad()
    def update(self, step: int, steps: int, *followers: AutoSparse) -> None:
        r"""Moves the multipliers, or keeps closed what was closed; after the optimiser's step.

        Args:
            step: Number of steps that were made.
            steps: Number of steps of the whole training.
            *followers: Copies of the guide in which the same is closed and opened, such as a
                moving average, which would otherwise remember it open.
        """

        guides = [self.about.guide, *followers]

        begin, reached, settle = (share * steps for share in self.stages)
        if step >= settle or self._is_settled():
            # Once more when the optimiser's momentum, which still closes, has passed.
            if not self._is_settled() or step == round(settle + AFTERWARDS * (steps - settle)):
                self._settle(guides)
        elif step % (every := max(1, steps // UPDATES)) == 0:
            ahead, proxy = 1 - _share(step, begin, reached), _share(step, reached, settle)
            self._ascend(ahead, proxy, every / steps)
            if proxy > 0:
                self._trim(1 - proxy)
        if step >= reached or self._is_settled():
            for guide, (site, closed) in itertools.product(guides, self._closed_sites()):
                close(guide.sites.get_submodule(site), closed)

    @torch.no_grad()
    def size(self, guide: AutoSparse | None = None) -> float:
        r"""The size, as a share, that `freeze` and `compact` would leave now.

        Args:
            guide: A copy of the guide, such as a moving average; by default the guide itself.
        """

        sizes, kept = self.about.sizes, self.about.sizes.kept()
        if guide is not None:
            here = masks(guide)
            kept = {site: here[site].to(values) for site, values in kept.items()}
        return float(sizes(kept).sum() / sizes.dense.sum())

    @property
    def about(self) -> "_About":
        r"""What the budget was attached to."""

        if self._about is None:
            raise ValueError("A budget is used after attach(model, guide, example_input).")
        return self._about

    def extra_repr(self) -> str:
        return f"{self.kind}={self.limit:g}"

    def __repr__(self) -> str:
        return f"Budget({self.extra_repr()})"

    def _ascend(self, ahead: float, proxy: float, time: float) -> None:
        sizes = self.about.sizes
        soft, hard = self._excess(sizes.typical()), self._excess(sizes.kept())
        excess = torch.lerp(soft, hard, proxy) - self.start * ahead - MARGIN

        if proxy == 0:
            self.reached.copy_(hard.clamp(min=0))
        raised = self.integral + self.gain * time * excess
        lowered = self.integral * 0.5 ** (time / HALVED)
        self.integral.copy_(torch.where(excess > 0, raised, lowered))
        self.multiplier.copy_((self.integral + DAMPING * excess).clamp(min=0))
        if ahead < 0.5:  # what is closed early is closed by the prior as well
            self.pressed |= self.multiplier > 0
        self.about.idle = not bool((self.multiplier > 0).any())

    def _trim(self, ahead: float) -> None:
        """Closes what is too much for a limit that falls evenly from the size reached before."""
        chances, before = self.about.sizes.expected(), self.about.sizes.kept()
        kept = before
        for index, sites in enumerate(self.about.limits.sites):
            above = functools.partial(self._excess_of, index, more=ahead * self.reached[index])
            kept = cut(above, chances, kept, sites)
        for site, closed in self._closed_sites():
            closed |= kept[site] < before[site]

    def _settle(self, guides: list[AutoSparse]) -> None:
        about = self.about
        chances, before = about.sizes.expected(), about.sizes.kept()
        kept = self._each_by_own_means(chances, before) if self.per_layer else before
        for index, sites in enumerate(about.limits.sites):
            kept = cut(functools.partial(self._excess_of, index), chances, kept, sites)
        for index in range(len(about.limits.sites)):
            kept = cut(functools.partial(self._excess_of, index), chances, kept, about.sites)
        for sites in itertools.compress(about.limits.sites, self.pressed):
            # What is opened for one constraint may count in another.
            kept = refill(lambda k: float(self._excess(k).max()), chances, kept, sites)

        for site, closed in self._closed_sites():
            typical = _median(chances[site].flatten(), before[site].flatten())
            for guide in guides:
                reopen(guide.sites.get_submodule(site), kept[site] > before[site], typical)
            closed.copy_(kept[site] == 0)
        self.multiplier.zero_()
        self.settled.fill_(True)
        about.settled = about.idle = True

    def _each_by_own_means(self, chances: Chances, kept: Chances) -> Chances:
        """Layer after layer from the last one on, as a gate narrows the layer before, too."""
        limits, pressed = self.about.limits, self.pressed.tolist()
        for _ in limits.sites:
            before = kept
            for index in reversed(range(len(limits.sites))):
                excess, sites = functools.partial(self._excess_of, index), limits.sites[index]
                kept = cut(excess, chances, kept, sites)
                if limits.own[index] and pressed[index]:
                    kept = refill(excess, chances, kept, sites)
            if all(torch.equal(kept[site], before[site]) for site in kept):
                break
        return kept

    def _is_settled(self) -> bool:
        # Asked at every step: the tensor, which may be on a GPU, is read once.
        if self.about.settled is None:
            self.about.settled = bool(self.settled)
        return self.about.settled

    def _closed_sites(self) -> list[tuple[str, Tensor]]:
        return [(s, getattr(self, f"closed_{index}")) for index, s in enumerate(self.about.sites)]

    def _by_own_means(self, chances: Chances) -> Tensor:
        """The excess of each layer, with a gradient for what is closed for it only."""
        seen = [
            {site: c if site in sites else c.detach() for site, c in chances.items()}
            for sites in self.about.limits.sites
        ]
        return torch.stack([self._excess(view)[index] for index, view in enumerate(seen)])

    def _excess_of(self, index: int, chances: Chances, more: Tensor | float = 0.0) -> float:
        return float(self._excess(chances)[index] - more)

    def _excess(self, chances: Chances) -> Tensor:
        """Log of size to allowed size, one for each constraint."""
        about = self.about
        sizes = about.sizes(chances)
        totals = sizes[about.limits.layers] if self.per_layer else sizes.sum(0, keepdim=True)
        tiny = torch.finfo(totals.dtype).tiny
        return totals.clamp(min=tiny).log() - about.limits.allowed.log()


@dataclass
class _About:
    """What a budget is attached to.

    Attributes:
        sizes: The size of the network.
        guide: The guide.
        sites: Sites that have entries to close.
        limits: The constraints.
        settled: Whether the budget is kept exactly by now; None where it is not known.
        idle: Whether all multipliers are known to be 0.
    """

    sizes: Sizes
    guide: AutoSparse
    sites: list[str]
    limits: Limits
    settled: bool | None = None
    idle: bool = False


class _Bounded(nn.Module):
    """A model with a budget's term."""

    def __init__(self, model: nn.Module, budget: Budget, num_data: int) -> None:
        super().__init__()
        self.model = model
        self.budget = budget
        self.num_data = num_data

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        # A graph is captured with the term, as it serves other steps, too.
        if self.budget.about.idle and get_proxy_mode() is None:
            return self.model(*args, **kwargs)

        term: Any = Unit(-self.num_data * self.budget.penalty())
        mark: Any = {"is_constraint": True}
        pyro.sample("budget", term, obs=term.sample(), infer=mark)
        return self.model(*args, **kwargs)


def _median(chances: Tensor, kept: Tensor) -> Tensor:
    """Position of the entry with the median chance among those that are kept, if any is."""
    positions = (
        (kept > 0).nonzero().flatten()
        if kept.any()
        else torch.arange(len(kept), device=kept.device)
    )
    return positions[chances[positions].median(0).indices]


def _share(step: float, begin: float, end: float) -> float:
    """How much of the way from begin to end is done."""
    return (
        min(max((step - begin) / (end - begin), 0.0), 1.0) if end > begin else float(step >= end)
    )
