"""Data that weights were trained on before is remembered: its license holds, and it does not count as unseen."""

import pytest

from quietcam.errors import UsageError
from train.run_directory.origin import add_earlier, add_licenses, trained_on_all_of, unseen_side


def origin(name, terms="MIT", test=("003",), split=""):
    scenes = {"train": ["001"], "validation": [], "test": list(test)}
    return {
        "data": name,
        "licence": terms,
        "sources": [name],
        "scenes": scenes,
        "split": split,
        "sha256": f"of {name}",
    }


def test_data_and_license_of_all_sittings_are_told_once():
    a, b = origin("cam/pairs"), origin("cam/pairs2", "GPL; MIT")
    first = add_earlier(a, {})
    assert first == a
    assert add_earlier(a, first) == a
    second = add_earlier(b, first)
    assert second["data"] == "cam/pairs2; before that cam/pairs"
    assert second["licence"] == "GPL; MIT"
    assert second["earlier"] == [a]
    assert add_earlier(b, second) == second
    third = add_earlier(a, second)
    assert third["data"] == "cam/pairs; before that cam/pairs2"
    assert third["licence"] == "MIT; GPL"
    assert add_earlier(b, third)["data"] == "cam/pairs2; before that cam/pairs"


def test_the_license_of_what_a_teacher_learned_from_holds_too():
    teacher, fusion = ({"name": name, "licence": terms} for name, terms in (("t", "mine; MIT"), ("f", "GPL")))
    runs = [{"phase": "train", "teacher": teacher, "fusion": fusion}, {"phase": "qat"}, {"phase": "qat"}]
    told = add_licenses(origin("a"), runs)
    assert told == origin("a") | {"licence": "MIT; mine; GPL"}
    assert add_licenses(told, runs) == told
    assert add_licenses(add_earlier(origin("a"), told), runs) == told, "further training on the same data"
    assert add_licenses(add_earlier(origin("b"), told), runs)["licence"] == "MIT; mine; GPL"
    assert add_licenses(origin("a"), [{"teacher": {"name": "t"}}])["licence"] == "MIT; unknown"
    assert add_licenses(origin("a"), runs[1:]) == origin("a")


def test_what_does_not_tell_its_license_is_not_taken_for_free():
    assert add_earlier(origin("a"), {"sources": ["elsewhere"]})["licence"] == "MIT; unknown"


def test_earlier_data_is_not_unseen():
    told = add_earlier(origin("b"), origin("a", split="test=007"))
    assert unseen_side("a", told, "") == "test:test=007"
    assert unseen_side("b", told, "") == "test"
    assert unseen_side("c", told, "") == "all"


def test_a_set_that_was_trained_on_whole_is_refused():
    told = add_earlier(origin("b"), origin("a", test=()))
    assert trained_on_all_of("a", told)
    assert not trained_on_all_of("b", told)
    with pytest.raises(UsageError, match="Received: a, all of which it was trained on"):
        unseen_side("a", told, "")


def test_two_splits_of_one_set_are_not_mixed_up():
    told = add_earlier(origin("a", split="test=003"), origin("a", split="test=007"))
    with pytest.raises(UsageError, match=r"with several splits: test=003, test=007\. Remedy"):
        unseen_side("a", told, "")


def test_weights_that_do_not_tell_their_sources_may_have_seen_any():
    assert unseen_side("a", {}, "test=003") == "test:test=003"
