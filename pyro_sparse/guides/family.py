r"""Posterior families: modules that own the parameters of one site's law."""

__all__ = [
    "Family",
    "LawFamily",
    "LogNormalFamily",
    "NormalFamily",
    "PointFamily",
    "TransformedFamily",
    "TruncatedLogNormalFamily",
]

from abc import abstractmethod
from collections.abc import Collection

import torch
from pyro.distributions import Delta, LogNormal, Normal, TorchDistribution, TransformedDistribution
from torch import Tensor, nn
from torch.distributions import Distribution, biject_to

from pyro_sparse.distributions import TruncatedLogNormal
from pyro_sparse.local import Local, law_tensors, with_law_tensors


class Family(nn.Module):
    r"""The law of one site of a guide, as a function of this module's parameters.

    A family of one's own is a subclass with a `law` method, entered in the table of `AutoSparse`
    by `register_family`.
    """

    @abstractmethod
    def law(self) -> TorchDistribution:
        r"""The law at the parameters' present values, elementwise, of the site's shape."""


class NormalFamily(Family):
    r"""Independent normals, for weights by default and for multiplicative scales as "gate".

    References:
        Weight Uncertainty in Neural Networks (Blundell, Cornebise, Kavukcuoglu, Wierstra,
        2015), https://arxiv.org/abs/1505.05424

    Args:
        loc: Initial means, `(*shape)`.
        scale: Initial standard deviation.
        role: "weight" or "gate", as in `Local`.
        shared: Whether one draw serves all uses, as in `Local`.
    """

    def __init__(
        self, loc: Tensor, scale: float, role: str = "weight", shared: bool = False
    ) -> None:
        super().__init__()
        self.loc = nn.Parameter(loc.detach().clone())
        self.log_variance = nn.Parameter(torch.full_like(loc, scale).log() * 2)
        self.role, self.shared = role, shared

    def law(self) -> Local:
        normal = Normal(self.loc, (self.log_variance / 2).exp(), validate_args=False)
        return Local(normal, self.role, self.shared)


class PointFamily(Family):
    r"""A point mass: an ordinary trained parameter.

    Args:
        value: Initial value, `(*shape)`.
        shared: Whether one draw serves all uses, as in `Local`.
    """

    def __init__(self, value: Tensor, shared: bool = False) -> None:
        super().__init__()
        self.value = nn.Parameter(value.detach().clone())
        self.shared = shared

    def law(self) -> Local:
        no_jacobian = self.value.new_zeros(()).expand(self.value.shape)
        point = Delta(self.value, no_jacobian, validate_args=False)
        return Local(point, "weight", self.shared)


class LawFamily(Family):
    r"""A given law, some of whose tensors are trained: gates, and laws of the user's own.

    Args:
        law: The law at its initial values, of the site's shape.
        trained: Names of the tensors to train, as `law_tensors` gives them. They must be free to
            take any real value.
        role: "weight" or "gate", as in `Local`.
        shared: Whether one draw serves all uses, as in `Local`.
    """

    def __init__(
        self,
        law: Distribution,
        trained: Collection[str],
        role: str = "gate",
        shared: bool = False,
    ) -> None:
        super().__init__()
        self.role, self.shared = role, shared
        self._template = law
        self._names = {name: name.replace(".", "__") for name, _ in law_tensors(law)}
        if not set(trained) <= set(self._names):
            raise ValueError(
                f"The trained tensors of {type(law).__name__} are among {sorted(self._names)}, "
                f"got {sorted(trained)}."
            )

        for name, tensor in law_tensors(law):
            if name in trained:
                tensor = nn.Parameter(tensor.detach().clone(memory_format=torch.contiguous_format))
                self.register_parameter(self._names[name], tensor)
            else:
                self.register_buffer(self._names[name], tensor.detach().clone())

    def law(self) -> Local:
        tensors = {name: getattr(self, attribute) for name, attribute in self._names.items()}
        return Local(with_law_tensors(self._template, tensors), self.role, self.shared)


class LogNormalFamily(Family):
    r"""Independent log-normals, for positive scales.

    References:
        Bayesian Compression for Deep Learning (Louizos, Ullrich, Welling, 2017),
        https://arxiv.org/abs/1705.08665

    Args:
        loc: Initial means of the logarithm, `(*shape)`.
        scale: Initial standard deviation of the logarithm.
        role: "gate" for scales that multiply activations or weights, "weight" for any other
            positive number, which is drawn once.
        shared: Whether one draw of a gate serves all uses, as in `Local`.
    """

    def __init__(
        self, loc: Tensor, scale: float, role: str = "weight", shared: bool = False
    ) -> None:
        super().__init__()
        self.loc = nn.Parameter(loc.detach().clone())
        self.log_variance = nn.Parameter(torch.full_like(loc, scale).log() * 2)
        self.role, self.shared = role, shared

    def law(self) -> TorchDistribution:
        law = LogNormal(self.loc, (self.log_variance / 2).exp(), validate_args=False)
        return Local(law, self.role, self.shared) if self.role == "gate" else law


class TruncatedLogNormalFamily(Family):
    r"""Independent truncated log-normals, for multiplicative noise between 0 and 1.

    References:
        Structured Bayesian Pruning via Log-Normal Multiplicative Noise (Neklyudov, Molchanov,
        Ashukha, Vetrov, 2017), https://arxiv.org/abs/1705.07283

    Args:
        loc: Initial means of the logarithm, `(*shape)`.
        scale: Initial standard deviation of the logarithm.
        low: Lower end of the logarithm.
        high: Upper end of the logarithm.
        shared: Whether one draw serves all uses, as in `Local`.
    """

    def __init__(
        self, loc: Tensor, scale: float, low: float, high: float, shared: bool = False
    ) -> None:
        super().__init__()
        self.loc = nn.Parameter(loc.detach().clone())
        self.log_variance = nn.Parameter(torch.full_like(loc, scale).log() * 2)
        self.low, self.high, self.shared = low, high, shared

    def law(self) -> Local:
        scale = (self.log_variance / 2).exp()
        law = TruncatedLogNormal(self.loc, scale, self.low, self.high, validate_args=False)
        return Local(law, "gate", self.shared)


class TransformedFamily(Family):
    r"""Independent normals carried to the prior's support.

    References:
        Automatic Differentiation Variational Inference (Kucukelbir, Tran, Ranganath, Gelman,
        Blei, 2017), https://arxiv.org/abs/1603.00788

    Args:
        prior: The prior.
        loc: Initial means before the transform, of the shape that the transform takes.
        scale: Initial standard deviation before the transform.
    """

    def __init__(self, prior: TorchDistribution, loc: Tensor, scale: float) -> None:
        super().__init__()
        self.loc = nn.Parameter(loc.detach().clone())
        self.log_variance = nn.Parameter(torch.full_like(loc, scale).log() * 2)
        self.support = prior.support

    def law(self) -> TorchDistribution:
        normal = Normal(self.loc, (self.log_variance / 2).exp(), validate_args=False)
        transform = biject_to(self.support)
        return TransformedDistribution(normal, [transform], validate_args=False)
