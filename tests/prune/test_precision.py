import pytest
import torch
from pyro.distributions import Normal
from torch import nn

from models.lenet import mlp
from pyro_sparse.distributions import L0, L2, HardConcrete, LogUniform
from pyro_sparse.guides import AutoSparse
from pyro_sparse.local import peel
from pyro_sparse.nn import bayesianize
from pyro_sparse.prune import freeze
from pyro_sparse.prune.precision import compression, significand_bits


def test_significand_bits_halve_the_noise() -> None:
    # 2 v < 2^-t for t up to log2(1 / (2 v)), exclusive.
    exponents = torch.arange(1, 40)
    found = significand_bits(0.5 ** exponents.double())

    assert found.tolist() == [min(max(e - 2, 0), 23) for e in exponents.tolist()]


def trained(net: nn.Module, variance: float, **options: object) -> tuple[nn.Module, AutoSparse]:
    model = bayesianize(net, **options)  # type: ignore[arg-type]
    return model, AutoSparse(model, init_scale=variance**0.5)


def test_rates_of_a_network_with_one_variance() -> None:
    net = mlp(16, 8, 4)
    with torch.no_grad():
        net.get_parameter("fc1.weight").copy_(torch.linspace(0.1, 0.9, 128).reshape(8, 16))
        net.get_parameter("fc2.weight").fill_(-1.5)
    model, guide = trained(net, 2.0**-10, weight=LogUniform())

    found = compression(model, guide, "log_alpha")

    # Eight digits: |w| <= 0.9 needs 8 bits and a sign, 1.5 = 384 / 256 needs 9 and a sign.
    assert [(x.name, x.kept, x.bits) for x in found.layers] == [
        ("fc1.weight", 128, 9),
        ("fc2.weight", 32, 10),
    ]
    assert found.after_pruning == 1
    assert found.after_precision == pytest.approx(32 * 160 / (128 * 9 + 32 * 10))
    assert str(found).endswith("compression 1.0x, with bits 3.5x")


def test_the_network_has_the_rounded_weights() -> None:
    model, guide = trained(mlp(16, 8, 4), 2.0**-10, weight=LogUniform())

    found = compression(model, guide, "log_alpha")

    exact = freeze(model, guide, "log_alpha")
    for name, weight in found.network.named_parameters():
        if weight.dim() > 1:
            assert torch.equal(weight * 256, (weight * 256).round())
            torch.testing.assert_close(weight, exact.get_parameter(name), rtol=0, atol=0.5 / 256)
        else:
            assert torch.equal(weight, exact.get_parameter(name))


def test_pruned_weights_cost_nothing() -> None:
    net = mlp(16, 8, 4)
    for name in ("fc1.weight", "fc2.weight"):
        nn.init.constant_(net.get_parameter(name), 0.5)
    model, guide = trained(net, 2.0**-10, weight=LogUniform())
    with torch.no_grad():
        guide.get_parameter("sites.fc1.weight.log_variance")[2:] = 20.0

    found = compression(model, guide)

    assert [x.kept for x in found.layers] == [32, 32]
    assert found.after_pruning == 160 / 64


def test_gates_and_scales_change_the_variance() -> None:
    weight_variance, scale_variance = 2.0**-14, 2.0**-8

    for gate, variance in ((LogUniform(), scale_variance), (L0(1.0), 0.0)):
        net = nn.Linear(4, 3, bias=False)
        nn.init.constant_(net.weight, 0.5)
        model, guide = trained(net, weight_variance, weight=LogUniform(), gate=gate)
        law = peel(guide.laws()["gate"])
        value = law.deterministic if isinstance(law, HardConcrete) else law.mean
        if variance:
            with torch.no_grad():
                guide.get_parameter("sites.gate.log_variance").fill_(torch.tensor(variance).log())

        found = compression(model, guide, "auto")

        total = value[0] ** 2 * weight_variance + variance * (0.25 + weight_variance)
        digits = int(significand_bits(total))
        step = 2.0**-digits
        multiples = found.network.get_parameter("weight") / step
        assert torch.equal(multiples, multiples.round())
        assert found.layers[0].bits == 1 + int(0.5 * value[0] / step + 0.5).bit_length()


def test_point_estimates_need_all_digits() -> None:
    model, guide = trained(mlp(6, 4), 1.0, weight=L2(1.0))

    assert compression(model, guide).layers[0].bits >= 23


def test_a_weight_under_a_normal_prior() -> None:
    model, guide = trained(mlp(6, 4), 2.0**-20, weight=Normal(0.0, 1.0))

    assert compression(model, guide).after_pruning == 1
