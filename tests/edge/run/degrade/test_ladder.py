"""The degrade ladder: when it goes down and up."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.network.treatment import Rung
from edge.run.degrade.ladder import Ladder, LadderRules

RULES = LadderRules(hot=80, cool=72, settle=5, recover=60, longest=480)
STEPS = (Rung.FULL, Rung.HALF_SIZE, Rung.EVERY_SECOND, Rung.PASS_THROUGH)


def run(ladder: Ladder, start: float, seconds: int, **told: object) -> list[tuple[float, Rung]]:
    """Give it the same values once a second; returns when it changed, and to which rung."""
    times = np.arange(start, start + seconds, 1.0).tolist()
    return [(now, ladder.rung) for now in times if ladder.update(now, **told)]  # type: ignore[arg-type]


class TestLadder:
    def test_heat_takes_it_down_step_by_step_and_no_further(self) -> None:
        ladder = Ladder(STEPS, RULES)
        changes = run(ladder, 0, 100, temperature=85.0)
        assert [step for _, step in changes] == list(STEPS[1:])
        assert changes[0][0] == RULES.settle
        assert all(b[0] - a[0] >= RULES.settle for a, b in itertools.pairwise(changes))
        assert ladder.report() == {"step": "pass-through", "reason": "85 °C, of at most 80"}

    def test_it_goes_up_only_when_cool_for_long(self) -> None:
        ladder = Ladder(STEPS, RULES)
        run(ladder, 0, 7, temperature=85.0)
        assert ladder.rung is Rung.HALF_SIZE
        assert run(ladder, 10, 500, temperature=76.0) == [], "between cool and hot nothing changes"
        assert run(ladder, 1000, 59, temperature=70.0) == []
        assert run(ladder, 1059, 30, temperature=70.0) == [(1060.0, Rung.FULL)]
        assert ladder.report() == {"step": "full", "reason": None}

    def test_a_moment_of_trouble_does_nothing(self) -> None:
        ladder = Ladder(STEPS, RULES)
        for start in range(0, 200, 10):
            assert run(ladder, start, 4, temperature=90.0) == []
            assert run(ladder, start + 4, 6, temperature=75.0) == []

    def test_where_a_step_up_brings_the_trouble_back_the_next_waits_longer(self) -> None:
        """A device that is too hot at full work and cool one step below."""
        ladder = Ladder(STEPS, RULES)

        def goes_up(now: float) -> bool:
            changed = ladder.update(now, temperature=85.0 if ladder.rung is Rung.FULL else 60.0)
            return changed and ladder.rung is Rung.FULL

        waits = np.diff([now for now in np.arange(0.0, 4000.0).tolist() if goes_up(now)])
        assert 60 < waits[0] < 140
        assert (waits[1:] > waits[:-1]).all() or waits[-1] >= RULES.longest
        assert waits[-1] <= RULES.longest + 2 * RULES.settle

    def test_late_frames_and_the_firmware_count_too(self) -> None:
        ladder = Ladder(STEPS, RULES)
        run(ladder, 0, 7, late=0.5)
        assert ladder.report() == {"step": "fewer pixels", "reason": "50% of the frames are late"}
        run(ladder, 10, 7, throttled="throttled")
        assert ladder.report() == {"step": "every second frame", "reason": "throttled"}
        assert run(Ladder(STEPS, RULES), 0, 100, late=0.1) == []

    @given(st.lists(st.tuples(st.floats(20, 120), st.sampled_from([None, "throttled"]), st.floats(0, 1)), max_size=300))
    def test_it_never_jumps_and_never_hurries(self, told: list[tuple[float, str | None, float]]) -> None:
        ladder = Ladder(STEPS, RULES)
        last, place = -1e9, 0
        for now, (temperature, throttled, late) in enumerate(told):
            if ladder.update(float(now), temperature, throttled, late):
                moved = STEPS.index(ladder.rung) - place
                assert moved in (-1, 1)
                assert now - last >= (RULES.settle if moved == 1 else 0)
                last, place = now, place + moved
            assert STEPS[place] is ladder.rung
