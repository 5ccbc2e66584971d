import pytest
import torch
from torch import nn

from pyro_sparse.prune.evaluation import evaluating


def test_modes_and_settings_come_back() -> None:
    net = nn.Sequential(nn.Dropout(), nn.Dropout().eval())

    with pytest.raises(KeyError), evaluating(net):
        assert not any(module.training for module in net.modules())
        assert not torch.is_grad_enabled()
        assert not torch.backends.mha.get_fastpath_enabled()
        raise KeyError

    assert [module.training for module in net.modules()] == [True, True, False]
    assert torch.is_grad_enabled()
    assert torch.backends.mha.get_fastpath_enabled()
