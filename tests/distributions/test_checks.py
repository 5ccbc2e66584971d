import pyro
import pytest
import torch
from pyro.distributions import Normal, VonMises
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from pyro_sparse.distributions import HardConcrete
from pyro_sparse.distributions.checks import (
    broadcast,
    is_tracing,
    require,
    require_methods,
    together,
    validates,
)


def test_require_quotes_rule_value_and_remedy() -> None:
    value = torch.tensor([0.5, -2.0, -3.0])

    with pytest.raises(ValueError, match=r"needs x > 0, got -2 \(2 of 3 entries\)\. Take abs\."):
        require(value > 0, value, "needs x > 0", "Take abs.")
    with pytest.raises(ValueError, match="needs a sign, got none"):
        require(False, "none", "needs a sign", "Give one.")


def test_require_lets_valid_values_pass() -> None:
    require(torch.tensor([True, True]), torch.ones(2), "", "")
    require(True, 1, "", "")


def test_require_quotes_a_broadcast_condition() -> None:
    with pytest.raises(ValueError, match=r"got 7 \(2 of 2 entries\)"):
        require(torch.tensor(False), torch.tensor([7.0, 8.0]), "rule", "remedy")


def test_require_methods_names_what_is_missing() -> None:
    require_methods("Gate", Normal(0.0, 1.0), "cdf", "icdf", "rsample")

    with pytest.raises(TypeError, match="VonMises lacks cdf, icdf"):
        require_methods("Gate", VonMises(0.0, 1.0), "log_prob", "cdf", "icdf")
    with pytest.raises(TypeError, match=r"needs a law.*got int"):
        require_methods("Gate", 3, "cdf")


def test_broadcast() -> None:
    assert broadcast("law", {"a": torch.Size([3, 1]), "b": torch.Size([2])}) == (3, 2)

    with pytest.raises(ValueError, match=r"a \(3,\), b \(2,\)"):
        broadcast("law", {"a": torch.Size([3]), "b": torch.Size([2])})


def test_validation_follows_the_process_and_stops_while_tracing() -> None:
    seen = []

    def look(x: Tensor) -> Tensor:
        seen.append((is_tracing(), validates(True)))
        return x + 1

    make_fx(look)(torch.ones(1))

    assert seen == [(True, False)]
    assert not is_tracing()
    assert validates(None)
    with pyro.validation_enabled(False):
        assert not validates(None)
        assert validates(True)


def test_laws_follow_the_default_unless_told_otherwise() -> None:
    gate, strict = HardConcrete(logits=0.0), HardConcrete(logits=0.0, validate_args=True)
    outside = torch.tensor(2.0)

    with pyro.validation_enabled(False):
        gate.log_prob(outside)
        with pytest.raises(ValueError, match="support"):
            strict.log_prob(outside)
    with pytest.raises(ValueError, match="support"):
        gate.log_prob(outside)


def test_samples_are_not_looked_at_while_tracing() -> None:
    gate = HardConcrete(logits=torch.zeros(2), validate_args=True)
    graph = make_fx(lambda value: gate.log_prob(value))(torch.tensor([0.2, 0.7]))

    value = torch.tensor([0.3, 1.0])
    torch.testing.assert_close(graph(value), gate.log_prob(value))


@pytest.mark.parametrize("integer", [torch.tensor(2), torch.tensor([1, 2])], ids=["one", "two"])
def test_integers_become_floating_and_truncate_nothing(integer: Tensor) -> None:
    first, second = together(integer, 1.7)

    assert first.dtype == second.dtype == torch.get_default_dtype()
    assert second.item() == pytest.approx(1.7)
    assert [v.dtype for v in together(integer, 0.5, torch.ones(2).double())][1] == torch.float32
