"""Arguments as plain data and back."""

import json

import torch

from pyro_sparse.prune.arguments import argument_like, described


def test_containers_come_back_as_they_were() -> None:
    x = torch.ones(2, 3)
    argument = {"u": [x, (x.long(), None)], "shape": 3.5, "list": "text"}

    data = json.loads(json.dumps(described(argument)))
    again = argument_like(data, torch.zeros(0, dtype=torch.double))

    assert again.keys() == argument.keys()
    assert (again["shape"], again["list"]) == (3.5, "text")
    first, (second, third) = again["u"]
    assert (first.shape, first.dtype, second.dtype, third) == (
        (2, 3),
        torch.double,
        torch.long,
        None,
    )
    assert type(again["u"]) is list and type(again["u"][1]) is tuple
