r"""Networks with a likelihood: complete Pyro models."""

__all__ = ["Classifier", "Regressor"]

import math
from itertools import chain
from numbers import Integral

import pyro
import torch
from pyro.distributions import Categorical, Normal
from torch import Tensor, nn

from pyro_sparse.effects import emit_parameters


class Classifier(nn.Module):
    r"""Creates a model of labels, with the network's outputs as logits.

    .. math::
        y_i \sim \mathrm{Categorical}(\mathrm{softmax}(f(x_i))), \quad i = 1, \dots, N

    The likelihood of a minibatch of `B` examples counts `N / B` times.

    References:
        Stochastic Variational Inference (Hoffman, Blei, Wang, Paisley, 2013),
        https://arxiv.org/abs/1206.7051

    Args:
        net: The network, usually made by `bayesianize`; maps inputs `(B, *)` to logits
            `(B, classes)`.
        num_data: Number of examples `N` in the whole data set.

    Example:
        >>> model = Classifier(nn.Linear(4, 3), num_data=150)
        >>> model(torch.zeros(2, 4), torch.tensor([0, 2])).shape
        torch.Size([2, 3])
    """

    def __init__(self, net: nn.Module, num_data: int) -> None:
        super().__init__()
        self.net = net
        self.num_data = _checked_size(num_data)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        r"""Samples the labels, or observes them where they are given.

        Args:
            x: Inputs, `(B, *)`.
            y: Labels, `(B,)`, integers from 0 to classes - 1.

        Returns:
            Logits, `(B, classes)`.
        """

        _check_input(self.net, x)
        logits = self.net(x)
        if logits.ndim != 2 or (y is not None and y.shape != logits.shape[:1]):
            raise ValueError(
                "A classifier's logits have shape (B, classes) and its labels (B,), got "
                f"{tuple(logits.shape)} and {None if y is None else tuple(y.shape)}."
            )
        if y is not None and (y.is_floating_point() or y.is_complex()):
            raise ValueError(
                f"Labels are integers from 0 to classes - 1, got {y.dtype}. Use .long() if they "
                "are whole numbers, or a Regressor."
            )

        with pyro.plate("data", self.num_data, subsample=_indices(x)):
            pyro.sample("obs", Categorical(logits=logits), obs=y)
        return logits


class Regressor(nn.Module):
    r"""Creates a model of real responses, with the network's outputs as their means.

    .. math::
        y_i \sim \mathcal{N}(f(x_i), \sigma^2), \quad i = 1, \dots, N

    References:
        Stochastic Variational Inference (Hoffman, Blei, Wang, Paisley, 2013),
        https://arxiv.org/abs/1206.7051

    Args:
        net: The network, usually made by `bayesianize`; maps inputs `(B, *)` to means `(B, *out)`.
        num_data: Number of examples `N` in the whole data set.
        noise: The noise's standard deviation, in units of the response.
        learn_noise: Whether to train the standard deviation, from `noise` on.
    """

    def __init__(
        self, net: nn.Module, num_data: int, noise: float = 1.0, learn_noise: bool = True
    ) -> None:
        super().__init__()
        one = not isinstance(noise, Tensor) or noise.numel() == 1
        if not (one and 0 < noise < math.inf):
            raise ValueError(f"The noise is one positive standard deviation, got {noise}.")
        self.net = net
        self.num_data = _checked_size(num_data)

        self.log_noise = nn.Parameter(torch.tensor(math.log(noise)), requires_grad=learn_noise)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        r"""Samples the responses, or observes them where they are given.

        Args:
            x: Inputs, `(B, *)`.
            y: Responses, `(B, *out)`.

        Returns:
            Means, `(B, *out)`.
        """

        _check_input(self.net, x)
        if self.log_noise.requires_grad:
            emit_parameters([("likelihood.log_noise", self.log_noise)])
        mean = self.net(x)
        if y is not None and y.shape != mean.shape:
            raise ValueError(
                "A regressor's responses have the shape of the network's outputs, got "
                f"{tuple(y.shape)} and {tuple(mean.shape)}. Reshape one of them."
            )

        law = Normal(mean, self.log_noise.exp()).to_event(mean.ndim - 1)
        with pyro.plate("data", self.num_data, subsample=_indices(x)):
            pyro.sample("obs", law, obs=y)
        return mean


def _indices(x: Tensor) -> Tensor:
    # Given indices keep the plate from drawing some; their values are never looked at.
    return torch.empty((), device=x.device).expand(len(x))


def _checked_size(num_data: int) -> int:
    if not isinstance(num_data, Integral) or num_data < 1:
        raise ValueError(f"num_data is the number of examples, at least 1, got {num_data!r}.")
    return int(num_data)


def _check_input(net: nn.Module, x: object) -> None:
    if not isinstance(x, Tensor):
        raise TypeError(
            f"The examples of a model are one tensor, got a {type(x).__name__}. Stack them, or "
            "write the model by hand around a network of several inputs."
        )
    owned = next(chain(net.parameters(), net.buffers()), None)
    if owned is not None and owned.device != x.device:
        raise ValueError(
            f"Data and parameters are on one device, and the data is on '{x.device}', the network "
            f"on '{owned.device}'. Move one of them with .to(device)."
        )
