r"""The size of a network as a function of its posterior, layer by layer."""

__all__ = ["Chances", "Sizes"]

from typing import Any

import torch
from torch import Tensor, nn

from pyro_sparse.distributions import Gate
from pyro_sparse.guides import AutoSparse
from pyro_sparse.prune.chance import chance_kept, is_kept
from pyro_sparse.prune.mask import Posterior, posteriors
from pyro_sparse.prune.structure import Structure

Chances = dict[str, Tensor]  # by site


class Sizes:
    r"""Counts weights or multiply-adds, with any chances that entries of sites are kept.

    A weight counts where its input arrives, its output is read, and it is not 0 itself. The
    network is followed once; what is left to do at each step are a few products of short vectors.

    Args:
        model: A model around a bayesianized network.
        guide: Its guide.
        example_input: A batch, or a tuple of the arguments of the network.
        kind: "weights" or "macs".

    Attributes:
        names: The layers that have a size.
        dense: Their sizes with everything kept.
    """

    def __init__(self, model: nn.Module, guide: AutoSparse, example_input: Any, kind: str) -> None:
        self.guide = guide
        self.kind = kind
        self.structure = Structure(model, guide, example_input)
        whole = {row.name: getattr(row, kind) for row in self.structure.dense.layers}
        self.names = [name for name, size in whole.items() if size]
        like = next(p for p in guide.parameters())
        self.dense = like.new_tensor([whole[name] for name in self.names])

    def __call__(self, chances: Chances) -> Tensor:
        r"""The size of each layer.

        Args:
            chances: Chances by site; of sites left out everything is kept.

        Returns:
            Sizes in the order of `names`.
        """

        sizes = dict(zip(self.names, self.dense.unbind(), strict=True))
        for use in self.structure.uses(chances):
            if use.layer not in sizes:
                continue

            kept = self._kept_weights(use.layer, chances)
            share = use.share()
            if kept is not None:
                sizes[use.layer] = use.nonzeros(kept)
            elif share is not None:
                sizes[use.layer] = sizes[use.layer] * share
        return torch.stack(list(sizes.values()))

    def sites_of(self, layer: str) -> list[str]:
        r"""The sites of a layer that decide about its size.

        Args:
            layer: Its path.
        """

        gate = [self.structure.gates[layer][1]] if layer in self.structure.gates else []
        weights = self.structure.weights.get(layer, []) if self.kind == "weights" else []
        return gate + weights

    def expected(self) -> Chances:
        r"""The chances under the posterior, differentiable in its parameters."""

        found = {site: chance_kept(p) for site, p in self._posteriors().items()}
        return {site: chance for site, chance in found.items() if chance is not None}

    @torch.no_grad()
    def typical(self) -> Chances:
        r"""The chances of gates, which are 0 at times; of other laws what the criterion keeps."""

        chances, kept = self.expected(), self.kept()
        gates = {s for s, p in self._posteriors().items() if isinstance(p.law, Gate)}
        return {s: chance if s in gates else kept[s] for s, chance in chances.items()}

    @torch.no_grad()
    def kept(self) -> Chances:
        r"""Ones where the criterion "auto" keeps an entry, zeros elsewhere."""

        chances = self.expected()
        return {s: is_kept(p) for s, p in self._posteriors().items() if s in chances}

    def _posteriors(self) -> dict[str, Posterior]:
        return {s: p for s, p in posteriors(self.guide).items() if s in self._sites()}

    def _sites(self) -> set[str]:
        layers = self.structure.gates.keys() | self.structure.weights.keys()
        return {site for layer in layers for site in self.sites_of(layer)}

    def _kept_weights(self, layer: str, chances: Chances) -> Tensor | None:
        if self.kind != "weights":
            return None

        sites = self.structure.weights.get(layer, [])
        known = [chances[site] for site in sites if site in chances]
        return torch.stack(known).prod(0) if known else None
