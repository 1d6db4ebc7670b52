"""The state of updates: transitions, bounds, and a file that gives back what was written."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.update.slots.figures import Figures
from edge.update.slots.state import FACTORY, Installed, State, Trial
from quietcam.errors import JsonError

ONE, TWO, THREE = (Installed(f"v{digit}", f"{digit}" * 64) for digit in "123")


def test_the_first_bundle_goes_back_to_the_models_that_ship() -> None:
    state = State().install(ONE, Trial(600), 1.0)
    assert (state.current, state.back, state.installed) == (ONE.slot, FACTORY, ONE)
    went = state.go_back("bad", 2.0)
    assert (went.current, went.back, went.trial, dict(went.slots)) == (FACTORY, None, None, {})
    assert [each.event for each in went.history] == ["installed", "rolled_back"]
    refusal = went.refusal(ONE.digest)
    assert refusal is not None
    assert refusal.why == "bad"


def test_a_kept_bundle_is_the_way_back_of_the_next() -> None:
    state = State().install(ONE, Trial(600), 1.0).keep("well", 2.0).install(TWO, Trial(600), 3.0)
    assert (state.current, state.back, set(state.slots)) == (TWO.slot, ONE.slot, {ONE.slot, TWO.slot})
    assert state.go_back("bad", 4.0).installed == ONE


def test_a_bundle_on_trial_is_no_way_back() -> None:
    before = Figures(seconds=100, frames=1000)
    state = State().install(ONE, None, 1.0).install(TWO, Trial(600), 2.0).compare_with(before)
    state = state.install(THREE, Trial(600), 3.0)
    assert (state.current, state.back, set(state.slots)) == (THREE.slot, ONE.slot, {ONE.slot, THREE.slot})
    assert state.trial is not None
    assert state.trial.before == before


def test_the_way_back_may_be_installed_again() -> None:
    state = State().install(ONE, None, 1.0).install(TWO, Trial(600), 2.0).install(ONE, Trial(600), 3.0)
    assert (state.installed, state.back, set(state.slots)) == (ONE, FACTORY, {ONE.slot})


def test_there_is_one_step_back_and_no_more() -> None:
    state = State().install(ONE, None, 1.0).install(TWO, None, 2.0).go_back("asked", 3.0)
    assert state.installed == ONE
    assert state.go_back("asked again", 4.0) == state


def test_a_damaged_slot_may_be_installed_again() -> None:
    state = State().install(ONE, None, 1.0).leave("its files have changed", 2.0)
    assert state.current == FACTORY
    assert state.refusal(ONE.digest) is None


def test_a_refused_bundle_that_is_tried_again_is_refused_no_more() -> None:
    state = State().refuse(ONE, "slow", 1.0)
    assert state.refusal(ONE.digest) is not None
    assert state.install(ONE, None, 2.0).refusal(ONE.digest) is None


def test_what_is_kept_is_bounded() -> None:
    state = State()
    for number in range(300):
        state = state.refuse(Installed(f"v{number}", f"{number:064x}"), "x" * 9999, float(number))
    assert (len(state.history), len(state.refused)) == (50, 32)
    assert state.history[-1].version == "v299"
    assert len(json.dumps(state.to_dict())) < 64 << 10


def bundles() -> st.SearchStrategy[Installed]:
    return st.integers(0, 9).map(lambda number: Installed(f"v{number}", f"{number:x}" * 64))


@given(st.lists(st.tuples(st.sampled_from(["install", "keep", "back", "refuse", "start", "leave"]), bundles())))
def test_any_history_keeps_the_rules(steps: list[tuple[str, Installed]]) -> None:
    """At most two slots, the one in use among them; a file that gives the same state back."""
    state = State()
    for number, (step, bundle) in enumerate(steps):
        before, now = state, float(number)
        if step == "install" and bundle != state.installed:
            state = state.install(bundle, Trial(600), now)
            assert state.installed == bundle
        elif step == "keep" and state.trial:
            state = state.keep("well", now)
        elif step == "back":
            state = state.go_back("bad", now)
            assert state == before or state.refusal(before.slots[before.current].digest)
        elif step == "refuse" and bundle != state.installed:
            state = state.refuse(bundle, "bad", now)
        elif step == "start":
            state = state.start()
        elif step == "leave":
            state = state.leave("damaged", now)
        assert len(state.slots) <= 2
        assert {state.current, state.back or FACTORY} <= {FACTORY, *state.slots}
        assert state.back != state.current or state.back == FACTORY
        assert State.from_dict(json.loads(json.dumps(state.to_dict()))) == state


@given(
    st.dictionaries(
        st.sampled_from([*State().to_dict(), "x"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=5,
        ),
    )
)
def test_other_values_are_an_error_of_ours(values: dict[str, object]) -> None:
    with pytest.raises(JsonError):
        State.from_dict({**State().to_dict(), "format": 2, **values} if values.get("format") != 1 else {"format": 1})
    good = State().install(ONE, Trial(600), 1.0).refuse(TWO, "bad", 2.0).to_dict()
    try:
        read = State.from_dict({**good, **values, "format": 1})
    except JsonError:
        return
    assert isinstance(read, State)
