import pytest
import torch
from torch import nn

from models.vgg import vgg


def test_shapes_and_size() -> None:
    assert vgg(classes=7, width=1 / 8)(torch.randn(2, 3, 32, 32)).shape == (2, 7)
    assert sum(p.numel() for p in vgg().parameters() if p.dim() > 1) == 14_977_728


@pytest.mark.parametrize(("dropout", "rates"), [(True, [0.3] + [0.4] * 7 + [0.5]), (False, [0.0])])
def test_dropout(dropout: bool, rates: list[float]) -> None:
    found = [m.p for m in vgg(width=1 / 8, dropout=dropout).modules() if isinstance(m, nn.Dropout)]

    assert found == rates
