"""A budget of steps and minutes: which of the two ends a phase, on slow and on fast machines."""

import pytest

from train.schedule import Budget, rate


def taken(budget, step_seconds):
    """Steps until the budget is used."""
    step = 0
    while budget.share(step, step * step_seconds) < 1.0:
        step += 1
    return step


@pytest.mark.parametrize(
    ("step_seconds", "steps"),
    [(0.01, 150), (0.1, 150), (1.0, 150), (1.2, 150), (3.0, 60), (179.0, 2), (1000.0, 1)],
)
def test_steps_end_it_on_every_machine_that_is_fast_enough_and_minutes_on_others(step_seconds, steps):
    assert taken(Budget(150, 3.0), step_seconds) == steps


@pytest.mark.parametrize("step_seconds", [0.1, 3.0, 20.0])
def test_the_rate_has_come_down_whichever_ends_it(step_seconds):
    budget = Budget(150, 3.0)
    last = taken(budget, step_seconds)
    assert rate(budget.share(last, last * step_seconds), 1e-3) == pytest.approx(1e-5)
