"""A network tells every run behind it, from the first to the last, and those behind its teacher."""

import hashlib
import shutil
from dataclasses import replace

from quietcam.evaluation import StartingWeights, Treatments, read_evaluation, write_evaluation
from quietcam.tflite.manifest import read_manifest
from train.run_directory.chain import origin_with_runs
from train.run_directory.read import TrainedRun

NETWORK = "[model]\nwidths = [8, 16]\ndepths = [1, 1]\n[training]\npatch = 32\ncrop = 64\nbatch = 4\nsteps = 2\n"


def test_a_manifest_tells_every_run_behind_the_model(tmp_path, pair_folder, quietcam):
    (tmp_path / "c.toml").write_text(NETWORK)
    data = ("--data", pair_folder)

    def does(*words):
        code, shown = quietcam(*words)
        assert code == 0, shown

    teacher, run, pruned, ready = (tmp_path / name for name in ("teacher", "run", "pruned", "ready"))
    does("train", tmp_path / "c.toml", *data, "--out", teacher, "--steps", 3)
    does("train", tmp_path / "c.toml", *data, "--out", run, "--teacher", teacher)
    does("prune", run, *data, "--out", pruned, "--no-scan", "--steps", 10, "--teacher", "none")
    does("train", pruned, "--qat", *data, "--out", ready, "--steps", 4)
    does("convert", ready, "--size", "32x32", "--recipe", "float32", "--recipe", "int8", "--out", tmp_path)
    float32, int8 = (tmp_path / f"ready_32x32_{recipe}.tflite" for recipe in ("float32", "int8"))
    told = read_manifest(int8).training
    runs = told["runs"]
    assert read_manifest(float32).training["runs"] == runs
    assert [(each["phase"], each["steps"]) for each in runs] == [("train", 2), ("prune", 10), ("qat", 4)]
    written = [hashlib.sha256((each / "model.keras").read_bytes()).hexdigest() for each in (run, pruned, ready)]
    assert [each["network"] for each in runs] == written
    assert [each["began_with"] for each in runs] == [None, *written[:2]]
    assert [each["psnr"] for each in runs] == [TrainedRun(each).psnr for each in (run, pruned, ready)]
    assert all(
        each["seconds"] > 0 and each["data"] == told["sha256"] and "tensorflow" in each["tools"] for each in runs
    )
    assert runs[1]["settings"]["pruning"]["steps"] == 10
    assert [each["settings"]["training"]["batch"] for each in runs] == [4, 4, 4]
    assert "qat" in runs[2]["settings"]
    assert "qat" not in runs[0]["settings"]
    assert ["teacher" in each for each in runs] == [True, False, False]
    of_teacher = runs[0]["teacher"]
    sha256 = hashlib.sha256((teacher / "model.keras").read_bytes()).hexdigest()
    assert (of_teacher["name"], of_teacher["sha256"], of_teacher["weight"]) == ("teacher", sha256, 0.5)
    assert of_teacher["licence"] == told["licence"]
    assert [(each["phase"], each["steps"], each["network"]) for each in of_teacher["runs"]] == [("train", 3, sha256)]
    assert str(tmp_path) not in str(told["treatments"]) + str(runs), "a manifest goes to other machines"

    again = tmp_path / "again"  # a model file carries its runs into what begins with it
    does("train", tmp_path / "c.toml", *data, "--out", again, "--weights", float32)
    origin = read_evaluation(again).data
    assert origin["runs"][:3] == runs
    assert origin["runs"][3]["began_with"] == read_manifest(float32).sha256
    assert len(origin["runs"]) == 4
    assert not any("runs" in each for each in origin.get("earlier", []))


HISTORY = "phase,step,seconds,learning_rate,loss,validation_psnr,by_set\n"


def test_of_runs_that_did_not_record_it_the_history_is_told(make_run):
    first, second = make_run("first"), make_run("second")
    (first / "history.csv").write_text(HISTORY + "train,5,1.5,0.1,0.02,30.5,\ntrain,9,2.5,0.1,0.02,31.5,\n")
    (second / "history.csv").write_text(HISTORY + "train,4,8.0,0.1,0.02,32.0,\nprune,20,9.0,0.1,0.02,31.9,\n")
    sha256 = TrainedRun(first).sha256
    half = shutil.copytree(first, first.with_name("half"))
    (half / "evaluation.json").unlink()
    of_first = {"phase": "train", "steps": 9, "seconds": 2.5, "psnr": 31.5, "network": sha256}
    of_second = [
        {"phase": "train", "steps": 4, "seconds": 8.0, "psnr": 32.0},
        {"phase": "prune", "steps": 20, "seconds": 9.0, "psnr": 31.9, "network": TrainedRun(second).sha256},
    ]
    assert origin_with_runs(TrainedRun(first)) == {"sources": ["elsewhere"], "runs": [of_first]}
    for begun_with, of_hash, expected in (
        (first, sha256, [of_first, *of_second]),
        (first, "0" * 64, of_second),  # other weights lie there now
        (first.with_name("gone"), sha256, of_second),
        (half, sha256, of_second),
    ):
        told = replace(
            read_evaluation(second), treatments=Treatments(weights=StartingWeights(str(begun_with), of_hash))
        )
        write_evaluation(second, told)
        assert origin_with_runs(TrainedRun(second))["runs"] == expected
    (first / "history.csv").unlink()
    assert origin_with_runs(TrainedRun(first))["runs"] == []
