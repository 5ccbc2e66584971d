import math
from typing import Any

import pytest
import torch
from pyro.distributions import Cauchy, Normal
from torch import Tensor, nn

from pyro_sparse.distributions import GroupGaussianMixture


def bound(prior: GroupGaussianMixture, posterior: Normal) -> Tensor:
    return prior.log_prob_of_square(posterior.mean.square() + posterior.variance).sum()


def owned(module: nn.Module) -> GroupGaussianMixture:
    tensors = dict(module.named_buffers())
    return GroupGaussianMixture(tensors["probs"], tensors["scale1"], tensors["scale2"])


@pytest.fixture
def module() -> nn.Module:
    module = nn.Module()
    module.register_buffer("probs", torch.full((4, 1), 0.5, dtype=torch.float64))
    module.register_buffer("scale1", torch.full((4, 1), 1.0, dtype=torch.float64))
    module.register_buffer("scale2", torch.full((4, 1), 0.1, dtype=torch.float64))
    return module


def test_parameters_keep_their_shape_under_expand(module: nn.Module) -> None:
    prior = owned(module).expand((4, 7))

    assert prior.batch_shape == (4, 7)
    assert prior.probs is module.probs
    assert prior.sample((3,)).shape == (3, 4, 7)
    assert prior.to_event(2).log_prob(torch.zeros(4, 7)).shape == ()


@pytest.mark.parametrize("trial", range(20))
def test_em_step_never_lowers_the_bound(trial: int) -> None:
    generator = torch.Generator().manual_seed(trial)

    def noise(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    loc = noise(4, 30) * torch.exp(3 * noise(4, 30))
    posterior = Normal(loc, torch.exp(noise(4, 30) - 2))
    prior = GroupGaussianMixture(torch.sigmoid(noise(4, 1)), noise(4, 1).exp(), noise(1).exp())

    values = [bound(prior, posterior)]
    for _ in range(10):
        prior.em_step(posterior)
        values.append(bound(prior, posterior))

    assert (torch.stack(values).diff() > -1e-9).all(), values
    assert values[-1] > values[0]


def test_em_recovers_two_planted_scales(module: nn.Module) -> None:
    scales = torch.where(torch.rand(4, 5000) < 0.3, 2.0, 0.05).double()
    posterior = Normal(scales * torch.randn(4, 5000), 1e-3)
    prior = owned(module)
    for _ in range(50):
        prior.em_step(posterior)

    torch.testing.assert_close(module.probs, torch.full((4, 1), 0.3).double(), rtol=0, atol=0.03)
    torch.testing.assert_close(module.scale1, torch.full((4, 1), 2.0).double(), rtol=0.1, atol=0)
    torch.testing.assert_close(module.scale2, torch.full((4, 1), 0.05).double(), rtol=0.1, atol=0)


def test_em_step_works_in_place_through_wrappers(module: nn.Module) -> None:
    prior = owned(module).expand((4, 6))
    before = {name: (tensor, tensor.clone()) for name, tensor in module.named_buffers()}
    prior.em_step(Normal(torch.randn(4, 6).double(), 0.1).to_event(2))

    for name, tensor in module.named_buffers():
        assert tensor is before[name][0]
        assert not torch.equal(tensor, before[name][1])

    loaded = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    module.load_state_dict(loaded)
    assert prior.probs is module.probs


def test_parameters_may_have_shapes_of_their_own() -> None:
    prior = GroupGaussianMixture(torch.tensor(0.5), torch.ones(4, 1), torch.full((1, 6), 0.1))
    prior.em_step(Normal(torch.randn(4, 6), 0.1))

    assert (prior.probs.shape, prior.scale1.shape, prior.scale2.shape) == ((), (4, 1), (1, 6))


def test_floors() -> None:
    prior = GroupGaussianMixture(torch.tensor([0.5]), torch.tensor([1.0]), torch.tensor([1e-3]))
    prior.em_step(Normal(torch.zeros(5), 1e-30))

    assert prior.scale2.item() == pytest.approx(1e-6)
    assert 1e-6 <= prior.probs.item() <= 1 - 1e-6


def test_a_component_without_mass_keeps_its_variance() -> None:
    prior = GroupGaussianMixture(torch.tensor([0.5]), torch.tensor([1.0]), torch.tensor([1e-3]))
    prior.em_step(Normal(torch.ones(5), 1e-3))

    assert prior.scale2.item() == pytest.approx(1e-3)
    assert prior.probs.item() == pytest.approx(1 - 1e-6)


def test_learnt_by_gradient() -> None:
    probs, scale1, scale2 = leaves = [torch.tensor(x, requires_grad=True) for x in (0.5, 1.0, 0.1)]
    prior = GroupGaussianMixture(probs, scale1, scale2)
    gradients = torch.autograd.grad(bound(prior, Normal(torch.ones(5), 0.1)), leaves)

    assert all(gradient != 0 for gradient in gradients)


@pytest.mark.parametrize(
    ("posterior", "error", "message"),
    [
        (Normal(torch.zeros(3, 7), 1.0), ValueError, r"\(4, 1\), broadcast; got \(3, 7\)"),
        (Normal(torch.zeros(7), 1.0), ValueError, r"\(4, 1\), broadcast; got \(7,\)"),
        (torch.zeros(4, 7), TypeError, "law with a mean and a variance .* got Tensor"),
    ],
)
def test_em_step_says_what_it_needs(
    module: nn.Module, posterior: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        owned(module).em_step(posterior)


def test_em_step_on_a_family_without_moments(
    module: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Cauchy.__mro__[1], "mean")

    with pytest.raises(TypeError, match="Cauchy has none"):
        owned(module).em_step(Cauchy(torch.zeros(4, 7), 1.0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1.5, 1.0, 0.1), r"probs in \[0, 1\], got 1.5"),
        ((0.5, 0.0, 0.1), "scale1 > 0, got 0"),
        ((0.5, 1.0, math.inf), "scale2 > 0, got inf"),
        ((torch.ones(2) / 2, torch.ones(3), 0.1), r"probs \(2,\), scale1 \(3,\)"),
    ],
)
def test_bad_input(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GroupGaussianMixture(*arguments)
