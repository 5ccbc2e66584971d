import math

import pytest
import torch

from pyro_sparse.distributions import L0, L2
from pyro_sparse.distributions.penalty import Penalty


def test_log_prob_is_minus_the_energy() -> None:
    value = torch.tensor([0.0, 0.5, -2.0])

    torch.testing.assert_close(L0(3.0).log_prob(value), torch.tensor([0.0, -3.0, -3.0]))
    torch.testing.assert_close(L2(3.0).log_prob(value), torch.tensor([0.0, -0.375, -6.0]))


@pytest.mark.parametrize("law", [L0, L2])
def test_samples_are_refused_with_a_way_out(law: type[Penalty]) -> None:
    with pytest.raises(TypeError, match=r"not a normalised law.*law in the guide"):
        law(1.0).sample()


@pytest.mark.parametrize("law", [L0, L2])
@pytest.mark.parametrize("penalty", [-1.0, math.nan, math.inf])
def test_bad_penalty(law: type[Penalty], penalty: float) -> None:
    with pytest.raises(ValueError, match=f"{law.__name__} needs a finite penalty >= 0, got"):
        law(penalty)


def test_shapes() -> None:
    law = L0(torch.ones(3)).expand((2, 3)).to_event(1)

    assert (law.batch_shape, law.event_shape) == ((2,), (3,))
    assert law.log_prob(torch.ones(3)).tolist() == [-3.0, -3.0]
