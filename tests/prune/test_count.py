import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from models.lenet import lenet5, lenet_300_100
from pyro_sparse.prune.count import count


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Linear(4, 3, bias=False)
        self.decode = nn.Linear(3, 4)
        self.again = nn.Linear(4, 3, bias=False)
        self.again.weight = self.encode.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.again(self.decode(self.encode(x)) @ torch.ones(4, 4))


def test_lenet5_layer_by_layer() -> None:
    counted = count(lenet5(), torch.zeros(2, 1, 28, 28))

    assert [row.macs for row in counted.layers] == [25 * 20 * 576, 25 * 1000 * 64, 400_000, 5_000]
    assert [row.parameters for row in counted.layers] == [520, 25_050, 400_500, 5_010]
    assert (counted.parameters, counted.weights) == (431_080, 430_500)
    assert counted.architecture == "20-50-800-500"


def test_zeros_are_counted_where_they_are() -> None:
    net = lenet_300_100()
    nn.init.zeros_(net.get_parameter("fc1.weight")[30:])

    counted = count(net, torch.zeros(1, 784))

    assert counted["fc1"].nonzeros == 30 * 784 + 300
    assert counted["fc1"].nonzero_macs == 30 * 784
    assert counted["fc1"].macs == 300 * 784
    assert counted.nonzeros == counted.parameters - 270 * 784


@pytest.mark.parametrize("batch", [1, 7])
def test_macs_are_those_of_one_example(batch: int) -> None:
    x = torch.zeros(batch, 1, 28, 28)

    with FlopCounterMode(display=False) as counter:
        lenet5()(x)

    assert 2 * batch * count(lenet5(), x).macs == counter.get_total_flops()


def test_products_outside_layers_belong_to_the_module_around_them() -> None:
    counted = count(Tied(), torch.zeros(5, 4))

    assert {row.name: row.macs for row in counted.layers} == {
        "": 16, "encode": 12, "decode": 12, "again": 12,
    }  # fmt: skip


def test_a_shared_parameter_counts_once() -> None:
    assert count(Tied(), torch.zeros(5, 4)).parameters == 12 + 16


def test_fused_attention_is_seen() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    x = torch.zeros(2, 5, 8)

    assert count(layer.eval(), x).macs == count(layer.train(), x).macs > 5 * 2 * 8 * 16
    assert torch.backends.mha.get_fastpath_enabled()


def test_counting_leaves_the_network_as_it_was() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4).eval(), nn.BatchNorm1d(4))
    before = {name: value.clone() for name, value in net.state_dict().items()}

    count(net, torch.randn(6, 4))

    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert [layer.training for layer in net] == [True, False, True]


def test_sparse_layouts_count_what_is_logically_there() -> None:
    net = nn.Linear(4, 3, bias=False)
    nn.init.zeros_(net.weight[:2])
    net.weight = nn.Parameter(net.weight.detach().to_sparse_coo(), requires_grad=False)

    counted = count(net, torch.zeros(1, 4))

    assert (counted.parameters, counted.nonzeros) == (12, 4)


def test_the_table_ends_with_the_totals() -> None:
    lines = str(count(lenet5(), torch.zeros(1, 1, 28, 28))).splitlines()

    assert lines[0].split() == "layer kind parameters non-zeros MACs non-zero MACs".split()
    assert lines[-1].split() == ["total", "431,080", "431,080", "2,293,000", "2,293,000"]
    assert len({len(line) for line in lines}) == 1


def test_an_unknown_layer() -> None:
    with pytest.raises(KeyError, match="no layer is called 'fc9'; there are fc1, fc2, fc3"):
        count(lenet_300_100(), torch.zeros(1, 784))["fc9"]


def test_an_example_without_a_batch() -> None:
    with pytest.raises(ValueError, match=r"a tensor that has a batch dimension, and got 1 arg"):
        count(nn.Identity(), (torch.tensor(1.0),))
