import pytest
import torch
from pyro.distributions import Delta, Laplace, Normal
from torch.distributions import kl_divergence

import pyro_sparse.kl  # noqa: F401
from pyro_sparse.distributions import L0, L2, HardConcrete


def test_gate_l0_by_hand() -> None:
    q = HardConcrete(logits=torch.zeros(2).double())

    kl = kl_divergence(q, L0(torch.tensor([1.0, 10.0]).double()))
    torch.testing.assert_close(kl, torch.tensor([0.831822, 8.31822]).double(), rtol=1e-5, atol=0)


def test_l2_by_hand_for_any_second_moment() -> None:
    loc, scale = torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0])

    torch.testing.assert_close(kl_divergence(Normal(loc, scale), L2(2.0)), loc**2 + scale**2)
    torch.testing.assert_close(kl_divergence(Laplace(loc, scale), L2(2.0)), loc**2 + 2 * scale**2)
    torch.testing.assert_close(kl_divergence(Delta(loc), L2(2.0)), loc**2)


def test_dispatch_is_unambiguous(recwarn: pytest.WarningsRecorder) -> None:
    """Pyro registers (Delta, Distribution): torch warns where two rules fit equally well."""
    kl_divergence(Delta(torch.ones(2)), L2(1.0))
    kl_divergence(Delta(torch.ones(2)), L0(1.0))

    assert not recwarn.list


def test_jacobian_of_a_point_is_no_energy() -> None:
    q = Delta(torch.ones(2), log_density=torch.tensor([3.0, -1.0]))

    assert kl_divergence(q, L2(1.0)).tolist() == [0.5, 0.5]


@pytest.mark.parametrize("mask", [torch.tensor([True, False]), False])
def test_mask_on_one_side(mask: torch.Tensor | bool) -> None:
    q = Normal(torch.ones(2), 1.0).mask(mask)

    assert kl_divergence(q, L2(1.0)).tolist() == (torch.ones(2) * torch.as_tensor(mask)).tolist()


@pytest.mark.parametrize("missing", ["mean", "variance"])
def test_a_law_without_moments_is_named(missing: str) -> None:
    class Odd(Normal):
        pass

    def refuse(self: Odd) -> None:
        raise NotImplementedError

    setattr(Odd, missing, property(refuse))

    with pytest.raises(TypeError, match=f"expected square, and Odd has no {missing}"):
        kl_divergence(Odd(torch.ones(2), 1.0), L2(1.0))


def test_a_joint_point() -> None:
    point = Delta(torch.tensor([[1.0, 2.0]]), event_dim=2)

    assert kl_divergence(point, L2(2.0)).tolist() == [[1.0, 4.0]]


def test_event_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"\(2,\) and \(\)"):
        kl_divergence(Normal(torch.ones(2), 1.0).to_event(1), L2(1.0))
