"""One step of training for whole networks: every gradient arrives, the original stays."""

from collections.abc import Callable

import pytest
import torch
from pyro.infer import SVI
from pyro.optim import PyroOptim
from torch import Tensor, nn

from models.alexnet import alexnet
from models.wide_resnet import wrn_28_10, wrn_small
from pyro_sparse.distributions import L0, LogUniform
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import TraceSparse_ELBO
from pyro_sparse.nn import Classifier, bayesianize, gate_sites


def of_torchvision(name: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        models = pytest.importorskip("torchvision.models", reason="install pyro-sparse[vision]")
        return models.get_model(name)

    return build


NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "AlexNet": (lambda: alexnet(hidden=128), 32),
    "ResNet-18": (of_torchvision("resnet18"), 32),
    "MobileNet-V2": (of_torchvision("mobilenet_v2"), 32),
    "WRN-10-2": (wrn_small, 8),
    "WRN-28-10": (wrn_28_10, 4),
}
CASES = [
    pytest.param(name, marks=pytest.mark.slow if name == "WRN-28-10" else ()) for name in NETWORKS
]


def fingerprint(net: nn.Module) -> dict[str, object]:
    """What a network consists of, values included, in little space."""
    tensors = net.state_dict(keep_vars=True).items()
    values = {n: (t._version, float(t.detach().double().sum()), t.grad) for n, t in tensors}
    return values | {f"class of {n}": type(module) for n, module in net.named_modules()}


@pytest.mark.parametrize("name", CASES)
def test_one_step(name: str) -> None:
    build, pixels = NETWORKS[name]
    net, x = build(), torch.randn(2, 3, pixels, pixels)
    before = fingerprint(net)

    new = bayesianize(
        net, weight=LogUniform(), bias=LogUniform(), gate=L0(0.01), gate_dim=gate_sites(net, x)
    )
    model = Classifier(new, num_data=100)
    guide = AutoSparse(model)
    gradients = noted(guide)

    svi = SVI(model, guide, PyroOptim(torch.optim.SGD, {"lr": 1e-4}), TraceSparse_ELBO())
    loss = svi.step(x, torch.tensor([0, 1]))

    assert loss == loss and abs(loss) < float("inf")
    assert gradients.keys() == {name for name, _ in guide.named_parameters()}
    assert all(gradients.values())
    assert fingerprint(net) == before


def noted(guide: nn.Module) -> dict[str, bool]:
    """Whether the gradient of each parameter, once there is one, is finite and not zero."""
    found: dict[str, bool] = {}

    for name, parameter in guide.named_parameters():

        def note(gradient: Tensor, name: str = name) -> None:
            found[name] = bool(gradient.isfinite().all() and gradient.any())

        parameter.register_hook(note)

    return found
