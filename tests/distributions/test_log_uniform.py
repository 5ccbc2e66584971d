import pytest
import torch

from pyro_sparse.distributions import LogUniform


def test_density_is_flat_in_log_w() -> None:
    w = torch.tensor([0.1, 1.0, -10.0])

    torch.testing.assert_close(LogUniform().log_prob(w), -w.abs().log())
    assert LogUniform().expand((2, 3)).log_prob(w).shape == (2, 3)


def test_samples_are_refused_with_a_way_out() -> None:
    for draw in (LogUniform().sample, LogUniform().rsample, LogUniform().to_event(0)):
        with pytest.raises(TypeError, match=r"improper.*proper law in the guide"):
            draw()


def test_expand_keeps_the_kind() -> None:
    assert LogUniform(kl="exact").expand((3,)).kl == "exact"
    assert repr(LogUniform()) == 'LogUniform(kl="fit")'


def test_unknown_kind() -> None:
    with pytest.raises(ValueError, match='"fit" or "exact", got best'):
        LogUniform(kl="best")
