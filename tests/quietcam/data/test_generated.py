"""Generated data sets: reproducible, resumable, within the band that was asked for."""

import json
import multiprocessing
import os
import signal
from concurrent.futures import ProcessPoolExecutor

import pytest

from quietcam.data.generated import ORIGIN, write_pairs
from quietcam.data.sets.pairs import find_pairs
from quietcam.errors import DataError
from quietcam.metrics import psnr
from quietcam.process.workers import interrupts_held
from quietcam.sensor.noise import SensorNoise
from tests.processes import start_quietcam
from tests.waiting import WAIT, ended, until


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*.png"))}


def test_pairs_are_found_lie_in_the_band_and_come_out_the_same_again(tmp_path):
    for name in ("once", "again"):
        write_pairs(tmp_path / name, count=3, size=64, seed=7, band=(20.0, 26.0))
    found = find_pairs(tmp_path / "once")
    assert [pair.name for pair in found] == ["scene_000007", "scene_000008", "scene_000009"]
    for pair in found:
        assert 20.0 <= psnr(*pair.read()) <= 26.0
    assert contents(tmp_path / "once") == contents(tmp_path / "again")


def test_an_interrupted_set_is_completed(tmp_path):
    write_pairs(tmp_path, count=2, size=64)
    whole = contents(tmp_path)
    (tmp_path / "noisy" / "scene_000001.png").unlink()
    write_pairs(tmp_path, count=2, size=64)
    assert contents(tmp_path) == whole


def test_workers_do_not_hear_ctrl_c_and_their_parent_does():
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as workers:
        with interrupts_held():
            asked = workers.submit(signal.pthread_sigmask, signal.SIG_BLOCK, ())
        assert signal.SIGINT in asked.result(WAIT)
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_ctrl_c_keeps_whole_pairs_and_says_one_line(tmp_path):
    words = ["data", "generate", "--out", tmp_path, "--count", "100000", "--size", "64"]
    process = start_quietcam(*words, start_new_session=True)
    until(lambda: list(tmp_path.glob("noisy/scene*")))
    os.killpg(process.pid, signal.SIGINT)  # all of them, as a terminal does
    said = ended(process)
    assert (process.returncode, said) == (130, "quietcam: interrupted; what was finished is kept\n")
    assert not list(tmp_path.rglob(".*"))
    pairs = find_pairs(tmp_path)
    assert pairs.problems == []
    assert all(pair.read()[0].shape == (64, 64, 3) for pair in pairs)


def test_other_pairs_in_the_folder_are_left_alone(tmp_path):
    write_pairs(tmp_path, count=2, size=64)
    with pytest.raises(DataError, match="no other pairs"):
        write_pairs(tmp_path, count=1, size=64, seed=50)
    assert len(contents(tmp_path)) == 4


def test_pairs_made_with_other_options_are_not_mixed(tmp_path):
    write_pairs(tmp_path, count=2, size=64)
    (tmp_path / "noisy" / "scene_000001.png").unlink()
    for options in ({"band": (20.0, 26.0)}, {"noise": SensorNoise(0.01, 1e-4)}, {"size": 96}):
        with pytest.raises(DataError, match=r"there, .* asked for"):
            write_pairs(tmp_path, count=2, **({"size": 64} | options))
    assert len(contents(tmp_path)) == 3


def test_a_set_that_was_begun_before_there_were_other_worlds_is_completed(tmp_path):
    write_pairs(tmp_path, count=2, size=32)
    told = json.loads((tmp_path / ORIGIN).read_text())
    del told["all_cameras"]
    (tmp_path / ORIGIN).write_text(json.dumps(told))
    write_pairs(tmp_path, count=3, size=32)
    assert len(find_pairs(tmp_path)) == 3
