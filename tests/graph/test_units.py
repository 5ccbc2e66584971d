import torch

from pyro_sparse.graph.units import Classes, Units


def test_values_that_cannot_be_folded_are_no_constants() -> None:
    units = Units.varying(-1, torch.arange(3))
    every = torch.ones(3, dtype=torch.bool)

    known = units.with_values(every, torch.tensor([1.0, float("inf"), float("nan")]))

    assert known.constant.tolist() == [True, False, False]
    assert known.value.tolist() == [1.0, 0.0, 0.0]


def test_take_moves_everything_that_is_known() -> None:
    units = Units(-3, torch.tensor([4, 5]), torch.tensor([True, False]), torch.tensor([2.0, 0.0]))

    taken = units.take(torch.tensor([1, 1, 0]), -1)

    assert (taken.axis, len(taken)) == (-1, 3)
    assert taken.labels.tolist() == [5, 5, 4]
    assert taken.constant.tolist() == [False, False, True]
    assert taken.value.tolist() == [0.0, 0.0, 2.0]


def test_spread_follows_the_axis() -> None:
    spread = Units.varying(-3, torch.arange(2)).spread(
        torch.tensor([1, 2]), torch.Size((5, 2, 3, 3))
    )

    assert spread.shape == (5, 2, 3, 3)
    assert (spread[:, 1] == 2).all() and (spread[:, 0] == 1).all()


def test_classes_merge() -> None:
    classes = Classes()
    a, b, c = classes.fresh(3), classes.fresh(3), classes.fresh(1)
    classes.unite(a, b)
    classes.unite(b[:1], c)

    roots = [classes.roots(labels).tolist() for labels in (a, b, c)]

    assert len(classes) == 7
    assert roots[0] == roots[1]
    assert roots[2] == roots[0][:1]
    assert len(set(roots[0])) == 3
