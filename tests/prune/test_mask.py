"""Masks of guides, made and handwritten."""

import pyro
import pytest
import torch
from pyro.distributions import Bernoulli, Normal
from torch import Tensor, nn
from torch.distributions import Distribution

from pyro_sparse import Local
from pyro_sparse.distributions import L0, HardConcrete, LogUniform
from pyro_sparse.guides import AutoSparse
from pyro_sparse.nn import bayesianize
from pyro_sparse.prune import deterministic_gate, masks
from pyro_sparse.prune.mask import posteriors

NET = nn.Linear(3, 2)


def test_each_site_by_the_rule_of_its_paper() -> None:
    guide = AutoSparse(bayesianize(NET, weight=LogUniform(), gate=L0(1.0)))
    trained = dict(guide.named_parameters())
    with torch.no_grad():
        trained["sites.weight.loc"].copy_(torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.1, 0.0]]))
        trained["sites.weight.log_variance"].fill_(0.0)
        trained["sites.gate.base__logits"].copy_(torch.tensor([-3.0, 0.0, 3.0]))

    kept = masks(guide)
    assert kept["weight"].tolist() == [[True, True, True], [True, False, False]]
    assert kept["gate"].tolist() == [False, True, True]


def test_a_guide_by_hand_is_run_for_its_laws() -> None:
    def guide(x: Tensor) -> None:
        pyro.sample("z", Local(HardConcrete(logits=torch.tensor([-9.0, 9.0]))).to_event(1))
        pyro.sample("s", Local(Normal(torch.ones(2), 1.0), role="gate").to_event(1))
        pyro.sample("w", Normal(torch.zeros(2), 1.0).to_event(1))

    found = posteriors(guide, torch.zeros(1))
    roles = {site: posterior.role for site, posterior in found.items()}
    assert roles == {"z": "gate", "s": "gate", "w": "weight"}
    assert all(isinstance(p.law, HardConcrete | Normal) for p in found.values())
    assert masks(guide, "auto", torch.zeros(1))["z"].tolist() == [False, True]


def test_a_function_is_a_criterion() -> None:
    guide = AutoSparse(bayesianize(NET, gate=Bernoulli(0.5)))

    def first(law: Distribution, role: str, prior: Distribution) -> Tensor:
        assert (role, type(prior)) == ("gate", Bernoulli)
        return torch.arange(3) < 1

    assert masks(guide, first)["gate"].tolist() == [True, False, False]


def test_criteria_that_give_something_else_are_refused() -> None:
    guide = AutoSparse(bayesianize(NET, gate=L0(1.0)))
    with pytest.raises(ValueError, match=r"shape \(3,\), and at 'gate'.*\(2,\)"):
        masks(guide, lambda law, role, prior: torch.ones(2, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"float32"):
        masks(guide, lambda law, role, prior: torch.ones(3))
    with pytest.raises(ValueError, match="nonsense"):
        masks(guide, "nonsense")


def test_a_loaded_guide_gives_the_same_masks() -> None:
    model = bayesianize(NET, weight=LogUniform(), gate=L0(1.0))
    guide, fresh = AutoSparse(model), AutoSparse(model)
    with torch.no_grad():
        for parameter in guide.parameters():
            parameter.normal_(0.0, 3.0)

    fresh.load_state_dict(guide.state_dict())
    left, right = masks(guide), masks(fresh, deterministic_gate())
    assert left["gate"].equal(right["gate"])
    assert all(mask.equal(masks(fresh)[site]) for site, mask in left.items())
