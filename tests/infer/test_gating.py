"""Divergences that count only while a gate is open: values by hand, and refusals."""

from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from torch import Tensor
from torch.distributions import kl_divergence

from pyro_sparse import Local
from pyro_sparse.distributions import (
    L0,
    EmpiricalNormal,
    HardConcrete,
    LogUniform,
    MixtureGate,
    TruncatedExponential,
)
from pyro_sparse.infer import TraceSparse_ELBO
from pyro_sparse.infer.gating import beside, gate_probability

WEIGHT = dist.Normal(torch.randn(3, 4), 0.5)
PRIOR = dist.Normal(torch.zeros(3, 4), 1.0)
KL = kl_divergence(WEIGHT, PRIOR)


def gate(*shape: int) -> HardConcrete:
    return HardConcrete(logits=torch.linspace(-3, 3, torch.Size(shape).numel()).reshape(shape))


def divergence(
    z: Any,
    infer: dict[str, Any],
    weight: Any = WEIGHT,
    prior: Any = PRIOR,
    guided: Any = None,
) -> dict[str, Tensor]:
    """The divergences of a weight and its gate, each of whose dimensions is an event."""
    said: Any = {"gated_by": "z", **infer}

    def model() -> None:
        if z is not None:
            pyro.sample("z", L0(torch.tensor(1.0)).expand(z.batch_shape).to_event(z_dims()))
        pyro.sample("w", prior.to_event(2 - prior.event_dim), infer=said)
        pyro.sample("obs", dist.Normal(0.0, 1.0), obs=torch.tensor(0.0))

    def guide() -> None:
        if z is not None:
            pyro.sample("z", (guided or z).to_event(z_dims()))
        pyro.sample("w", weight.to_event(2 - weight.event_dim))

    def z_dims() -> int:
        return len(z.batch_shape)

    elbo = TraceSparse_ELBO()
    elbo.loss(model, guide)
    assert elbo.parts is not None
    return elbo.parts.kl


def test_input_gates_by_hand() -> None:
    """Gates of the columns: shapes align from the right."""
    z = gate(4)

    found = divergence(z, {})

    torch.testing.assert_close(found["w"], (KL * z.prob_active).sum())
    torch.testing.assert_close(found["z"], z.prob_active.sum())


def test_output_gates_by_hand() -> None:
    z = gate(3)

    found = divergence(z, {"gated_view": (-1, 1)})

    torch.testing.assert_close(found["w"], (KL * z.prob_active.unsqueeze(-1)).sum())


def test_gates_of_several_columns_by_hand() -> None:
    z = gate(2)

    found = divergence(z, {"gated_repeat": 2})

    torch.testing.assert_close(found["w"], (KL * z.prob_active.repeat_interleave(2)).sum())


def test_numbers_of_a_two_by_two_example() -> None:
    """KL(N(1, 1) || N(0, 1)) = 1/2, and a gate of logit 0 is open with probability 0.831822."""
    weight, prior = dist.Normal(torch.ones(2, 2), 1.0), dist.Normal(torch.zeros(2, 2), 1.0)

    found = divergence(HardConcrete(logits=torch.zeros(2)), {}, weight, prior)

    torch.testing.assert_close(found["w"], torch.tensor(4 * 0.5 * 0.831822), rtol=1e-5, atol=0)


@pytest.mark.parametrize("shape", [(3, 4), (1, 4), (3, 1), (1, 1), (1,), ()])
def test_gates_of_every_shape(shape: tuple[int, ...]) -> None:
    z = gate(*shape)

    found = divergence(z, {})

    torch.testing.assert_close(found["w"], (KL * z.prob_active).sum())


def test_local_laws_are_gated_too() -> None:
    z = gate(4)

    found = divergence(z, {}, weight=Local(WEIGHT), guided=Local(z))

    torch.testing.assert_close(found["w"], (KL * z.prob_active).sum())


def test_event_dimensions_come_before_batch_dimensions() -> None:
    """In a plate of networks each network's gate gates its own weights."""
    z = HardConcrete(logits=torch.randn(2, 4))
    weight = dist.Normal(torch.randn(2, 3, 4), 1.0)
    prior = dist.Normal(torch.zeros(2, 3, 4), 1.0)
    infer: Any = {"gated_by": "z"}

    def model() -> None:
        with pyro.plate("networks", 2):
            pyro.sample("z", L0(torch.ones(2, 4)).to_event(1))
            pyro.sample("w", prior.to_event(2), infer=infer)
        pyro.sample("obs", dist.Normal(0.0, 1.0), obs=torch.tensor(0.0))

    def guide() -> None:
        with pyro.plate("networks", 2):
            pyro.sample("z", z.to_event(1))
            pyro.sample("w", weight.to_event(2))

    elbo = TraceSparse_ELBO()
    elbo.loss(model, guide)

    wanted = (kl_divergence(weight, prior) * z.prob_active.unsqueeze(1)).sum()
    assert elbo.parts is not None
    torch.testing.assert_close(elbo.parts.kl["w"], wanted)


def test_gates_get_gradients_from_the_divergence_of_their_weights() -> None:
    logits = torch.zeros(4, requires_grad=True)
    z = HardConcrete(logits=logits)

    def model() -> None:
        pyro.sample("z", dist.Bernoulli(torch.full((4,), 0.5)).to_event(1))
        infer: Any = {"gated_by": "z"}
        pyro.sample("w", PRIOR.to_event(2), infer=infer)
        pyro.sample("obs", dist.Normal(0.0, 1.0), obs=torch.tensor(0.0))

    def guide() -> None:
        pyro.sample("z", z.to_event(1))
        pyro.sample("w", WEIGHT.to_event(2))

    (found,) = torch.autograd.grad(TraceSparse_ELBO().differentiable_loss(model, guide), logits)

    wanted = kl_divergence(z, dist.Bernoulli(0.5)).sum() + (KL * z.prob_active).sum()
    torch.testing.assert_close(found, torch.autograd.grad(wanted, logits)[0])


def test_the_models_statement_wins_over_the_guides() -> None:
    """What the guide says at the same site does not hide it."""
    infer: Any = {"gated_by": "z", "said": "model"}
    other: Any = {"said": "guide", "more": 1}
    z = gate(4)

    def model() -> None:
        pyro.sample("z", L0(torch.ones(4)).to_event(1))
        pyro.sample("w", PRIOR.to_event(2), infer=infer)
        pyro.sample("obs", dist.Normal(0.0, 1.0), obs=torch.tensor(0.0))

    def guide() -> None:
        pyro.sample("z", z.to_event(1))
        pyro.sample("w", WEIGHT.to_event(2), infer=other)

    elbo = TraceSparse_ELBO()
    elbo.loss(model, guide)

    assert elbo.parts is not None
    torch.testing.assert_close(elbo.parts.kl["w"], (KL * z.prob_active).sum())


def test_groups_of_an_empirical_prior_count_their_open_weights() -> None:
    """The variance of a group is fitted to the weights that are there."""
    z, weight = gate(4), WEIGHT
    active = z.prob_active

    found = divergence(z, {}, prior=EmpiricalNormal(groups=-1).expand((3, 4)))

    square = weight.loc.square() + weight.scale.square()
    variance = (active * square).sum(-1, keepdim=True) / active.sum()
    each = (variance.log() - 2 * weight.scale.log() + square / variance - 1) / 2
    torch.testing.assert_close(found["w"], (active * each).sum())


MIXTURE = MixtureGate(logits=torch.zeros(4), off=TruncatedExponential(torch.tensor(20.0)))


def test_gates_without_an_atom_need_consent() -> None:
    with pytest.raises(ValueError, match=r"'w' is gated by 'z'.*MixtureGate is never.*relaxed"):
        divergence(MIXTURE, {})

    found = divergence(MIXTURE, {"gated_relaxed": True})
    torch.testing.assert_close(found["w"], (KL * MIXTURE.prob_active).sum())


def joint(mean: float) -> Any:
    """Rows that are multivariate normals, made to have a second event dimension."""
    return dist.MultivariateNormal(torch.full((3, 4), mean), torch.eye(4))


def test_gates_of_joint_laws_by_hand() -> None:
    z = gate(3)
    found = divergence(z, {}, weight=joint(1.0), prior=joint(0.0))

    torch.testing.assert_close(found["w"], 2 * z.prob_active.sum())


def test_gates_of_joint_laws_in_a_plate() -> None:
    infer: Any = {"gated_by": "z"}
    z = gate(3)

    def sites(gates: Any, rows: Any) -> None:
        with pyro.plate("rows", 3):
            pyro.sample("z", gates)
            pyro.sample("w", rows, infer=infer)

    def model() -> None:
        sites(dist.Bernoulli(0.5), joint(0.0))
        pyro.sample("obs", dist.Normal(0.0, 1.0), obs=torch.tensor(0.0))

    elbo = TraceSparse_ELBO()
    elbo.loss(model, lambda: sites(z, joint(1.0)))

    assert elbo.parts is not None
    torch.testing.assert_close(elbo.parts.kl["w"], 2 * z.prob_active.sum())


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no gate in the guide": (
        {"z": gate(4), "infer": {"gated_by": "y"}},
        r"'w' is gated by 'y', which the guide does not sample \(its sites: \['z', 'w'\]\)",
    ),
    "a gate that is no gate": (
        {"z": gate(4), "infer": {}, "guided": dist.Delta(torch.ones(4))},
        r"gated by 'z', whose law Delta has no prob_active.*HardConcrete",
    ),
    "a gate that does not fit": (
        {"z": gate(3), "infer": {}},
        r"gated by 'z', whose probabilities of shape \(3,\) do not spread over the shape "
        r"\(3, 4\) of its divergence.*gated_view",
    ),
    "a gate larger than the weight": (
        {"z": gate(2, 3, 4), "infer": {}},
        r"of shape \(2, 3, 4\) do not spread over the shape \(3, 4\)",
    ),
    "a view that does not fit": (
        {"z": gate(3), "infer": {"gated_view": (1, -1)}},
        r"do not spread over the shape \(3, 4\)",
    ),
    "gates of the parts of a joint law": (
        {"z": gate(4), "infer": {}, "weight": joint(1.0), "prior": joint(0.0)},
        r"'w' is gated by 'z', whose.*\(4,\) do not spread over the shape \(3,\).*as a whole",
    ),
    "an improper weight": (
        {"z": gate(4), "infer": {}, "prior": LogUniform().expand((3, 4))},
        r"'w' is gated by 'z', but the divergence from its log-uniform prior.*proper prior",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_name_both_sites(name: str) -> None:
    arguments, message = REFUSED[name]

    with pytest.raises(ValueError, match=rf"(?s){message}"):
        divergence(**arguments)


def test_an_observed_gate_is_refused() -> None:
    def guide() -> None:
        pyro.sample("z", gate(4).to_event(1), obs=torch.ones(4))

    trace: Any = poutine.trace(guide).get_trace()
    model: Any = {"infer": {"gated_by": "z"}, "fn": PRIOR.to_event(2)}

    with pytest.raises(ValueError, match="'w' is gated by 'z', which is observed"):
        gate_probability("w", model, trace)


def test_sites_without_a_gate() -> None:
    nothing: Any = {"infer": {}}
    assert gate_probability("w", nothing, poutine.trace(lambda: None).get_trace()) is None


def test_a_gated_site_needs_a_rule() -> None:
    student = dist.StudentT(3.0, torch.zeros(3, 4), 1.0)

    with pytest.raises(TypeError, match=r"needs an analytic KL rule.*'w' \(StudentT, Normal\)"):
        divergence(gate(4), {}, weight=student)


@pytest.mark.parametrize(
    ("view", "event_dim", "shape", "wanted"),
    [
        (None, 1, (4,), (1, 4)),
        (None, 2, (3, 4), (3, 4)),
        (None, 0, (), (1, 1)),
        (None, 1, (2, 4), (2, 1, 4)),
        ((-1, 1), 1, (3,), (3, 1)),
    ],
)
def test_places_beside_a_weight(
    view: Any, event_dim: int, shape: tuple[int, ...], wanted: tuple[int, ...]
) -> None:
    model: Any = {"infer": {"gated_view": view}, "fn": PRIOR.to_event(2)}

    assert beside(model, event_dim, torch.ones(shape)).shape == wanted
