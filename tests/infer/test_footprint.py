"""Bytes counted, and the pieces they allow."""

import torch

from pyro_sparse.infer.footprint import TOGETHER, Allocations, Footprint, Plan, measure


def test_new_tensors_count_and_views_do_not() -> None:
    with Allocations() as made:
        x = torch.zeros(10)
        x.view(2, 5).add_(1.0)

    assert made.bytes == 40


def test_measure_tells_draws_from_inputs() -> None:
    def run(count: int) -> None:
        torch.zeros(1000)
        torch.zeros(count, 5)

    assert measure(100, run, 50) == Footprint(draw=100 + 4000, example=20)


def test_measure_with_hardly_any_inputs() -> None:
    assert measure(100, lambda n: torch.zeros(n, 5), 1) == Footprint(draw=100, example=20)


def test_a_plan_stays_below_the_bound() -> None:
    footprint = Footprint(draw=1000, example=10)

    plan = footprint.plan(inputs=10_000, draws=100, max_bytes=5000, vectorize=False)
    assert plan == Plan(draws=1, inputs=400, vectorize=False)

    plan = footprint.plan(inputs=100, draws=100, max_bytes=50_000, vectorize=True)
    assert plan == Plan(draws=25, inputs=100, vectorize=True)


def test_a_draw_that_exceeds_the_bound_is_taken_alone() -> None:
    plan = Footprint(draw=1000, example=10).plan(500, 100, max_bytes=10)

    assert plan == Plan(draws=1, inputs=100, vectorize=False)


def test_small_programs_take_draws_together_and_large_ones_do_not() -> None:
    small = Footprint(draw=TOGETHER / 4, example=1.0).plan(10, 100, 2**40)
    large = Footprint(draw=TOGETHER, example=1.0).plan(10, 100, 2**40)

    assert small == Plan(draws=3, inputs=10, vectorize=True)
    assert large == Plan(draws=1, inputs=10, vectorize=False)
