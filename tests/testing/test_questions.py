import torch
from pyro.distributions import Gamma, Normal, VonMises

from pyro_sparse.distributions import HardConcrete
from pyro_sparse.testing import LawCase
from pyro_sparse.testing.questions import questions, samplers

PAIR = torch.tensor([-1.0, 2.0], dtype=torch.float64)
NORMAL = LawCase(Normal, {"loc": PAIR, "scale": PAIR.exp()})


def test_answers() -> None:
    law = NORMAL.law()
    answers = {name: ask(law, PAIR) for name, ask in questions(NORMAL).items()}

    assert torch.equal(answers.pop("log_prob"), law.log_prob(PAIR))
    assert torch.equal(answers.pop("cdf"), law.cdf(PAIR))
    assert torch.equal(answers.pop("icdf"), law.icdf(torch.full_like(PAIR, 0.3)))
    assert torch.equal(answers.pop("mean"), law.mean)
    assert torch.equal(answers.pop("variance"), law.variance)
    assert not answers


def test_a_gate_is_asked_more() -> None:
    asked = questions(LawCase(HardConcrete, {"logits": PAIR}))
    answers = {name: ask(HardConcrete(logits=PAIR), PAIR.abs() / 3) for name, ask in asked.items()}

    for name in ("prob_active", "active_logits", "deterministic"):
        assert torch.equal(answers[name], getattr(HardConcrete(logits=PAIR), name))


def test_what_a_case_skips_is_not_asked() -> None:
    reasons = dict.fromkeys(
        ("cdf_matches_density", "icdf_inverts_cdf", "moments_match_density"), "a reason"
    )
    case = LawCase(NORMAL.build, NORMAL.parameters, skip=reasons)

    assert list(questions(case)) == ["log_prob"]


def test_ways_to_draw() -> None:
    assert list(samplers(Gamma(PAIR.exp(), 1.0))) == ["sample", "rsample"]
    assert list(samplers(VonMises(PAIR, 1.0))) == ["sample"]
