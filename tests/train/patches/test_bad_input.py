"""Wrong input of training: each gives one line with the rule and the remedy, and the right exit code."""

import fcntl
import os

import pytest

NETWORK = "[model]\nwidths = [8, 16]\ndepths = [1, 1]\n[training]\npatch = 32\ncrop = 64\nbatch = 4\nsteps = 2\n"


def one_line(shown):
    """The last line that was shown, where no traceback was."""
    assert "Traceback" not in shown
    return shown.rstrip().splitlines()[-1]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (NETWORK + "epochs = 3\n", "Unknown keys in [training]: ['epochs']. Known: "),
        (NETWORK + "[distilation]\nteacher = 'a'\n", "Unknown sections"),
        (NETWORK + "[distillation]\nstudent = 'a'\n", "Unknown keys in [distillation]: ['student']"),
        (NETWORK + "[distillation]\nweight = 1.5\n", "must be in (0, 1]. Received: weight=1.5"),
        (NETWORK + "xla = 'yes'\n", "xla must be one of auto, on, off. Received: xla=yes"),
        (
            NETWORK.replace("[8, 16]", "[8, 20]"),
            "multiple of 8, at most 4096. Received: widths=[8, 20]. Remedy: use 16 instead of 20",
        ),
        (NETWORK.replace("patch = 32", "patch = 34"), "Received: patch=34. Remedy: patch = 32"),
    ],
)
def test_a_config(tmp_path, pair_folder, quietcam, config, said):
    (tmp_path / "c.toml").write_text(config)
    code, shown = quietcam("train", tmp_path / "c.toml", "--data", pair_folder, "--out", tmp_path / "run")
    assert code == 2
    assert said in one_line(shown)
    assert not (tmp_path / "run").exists()


def test_no_data_for_a_split(tmp_path, dataset_of_instances, quietcam):
    (tmp_path / "c.toml").write_text(NETWORK)
    words = ("train", tmp_path / "c.toml", "--data", dataset_of_instances[0], "--out", tmp_path / "run")
    code, shown = quietcam(*words)
    assert code == 1
    assert "scene" in one_line(shown)
    assert "Remedy" in one_line(shown)
    code, shown = quietcam(*words, "--split", "test=0,validation=0")
    assert code == 1
    assert "Remedy" in one_line(shown)


@pytest.mark.parametrize("sparsity", ["1.0", "-0.1", "1.5"])
def test_sparsity_out_of_range(make_run, pair_folder, quietcam, sparsity):
    code, shown = quietcam("prune", make_run(), "--data", pair_folder, f"--sparsity={sparsity}")
    assert code == 2
    assert "--sparsity is a number from 0 to 0.999. Received: " in one_line(shown)


def test_a_run_directory_in_use(make_run, pair_folder, quietcam, tmp_path):
    (tmp_path / "c.toml").write_text(NETWORK)
    run = tmp_path / "busy"
    run.mkdir()
    held = os.open(run, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    try:
        for words in (("train", tmp_path / "c.toml"), ("prune", make_run(), "--no-scan")):
            code, shown = quietcam(*words, "--data", pair_folder, "--out", run)
            assert code == 1
            assert "which another process is using. Remedy: wait for it" in one_line(shown)
    finally:
        os.close(held)
    code, shown = quietcam("train", tmp_path / "c.toml", "--data", pair_folder, "--out", make_run("there"))
    assert code == 2
    assert "Remedy: --overwrite deletes it" in one_line(shown)
    (tmp_path / "there" / "checkpoints").mkdir()
    code, shown = quietcam("prune", make_run("other"), "--data", pair_folder, "--out", tmp_path / "there")
    assert code == 2
    assert "Remedy: --resume continues it, --overwrite deletes it" in one_line(shown)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--channels", "0.99"), "Remedy: remove a share of at most 0."),
        (("--channels", "1.5"), "Received: 1.5. Remedy: for example --channels 0.999"),
        (("--channels", "0.3", "--importance", "l3"), "one of l1, taylor. Received: l3. Remedy: choose one"),
    ],
)
def test_what_cannot_be_pruned_deletes_nothing(make_run, pair_folder, quietcam, words, said):
    source, old = make_run(), make_run("old")
    before = sorted((path.name, path.read_bytes()) for path in old.iterdir())
    code, shown = quietcam("prune", source, "--data", pair_folder, *words, "--out", old, "--overwrite")
    assert code == 2
    assert said in one_line(shown)
    assert sorted((path.name, path.read_bytes()) for path in old.iterdir()) == before


def test_a_run_does_not_overwrite_its_teacher(tmp_path, make_run, pair_folder, quietcam):
    (tmp_path / "c.toml").write_text(NETWORK)
    run = make_run()
    words = ("--data", pair_folder, "--out", run, "--overwrite")
    for command in (("train", tmp_path / "c.toml", "--teacher", run), ("prune", run), ("train", run, "--qat")):
        code, shown = quietcam(*command, *words)
        assert code == 2
        assert "must not be written to a folder that it reads from" in one_line(shown)
        assert (run / "model.keras").is_file()


def test_resumed_where_nothing_is(tmp_path, pair_folder, quietcam):
    (tmp_path / "c.toml").write_text(NETWORK)
    words = ("train", tmp_path / "c.toml", "--data", pair_folder, "--out", tmp_path / "run")
    code, shown = quietcam(*words, "--resume")
    assert code == 2
    assert "which has none of train. Remedy: leave --resume out" in one_line(shown)
    assert quietcam(*words)[0] == 0


def test_a_checkpoint_of_another_architecture(tmp_path, pair_folder, quietcam):
    (tmp_path / "c.toml").write_text(NETWORK)
    words = ("train", tmp_path / "c.toml", "--data", pair_folder, "--out", tmp_path / "run")
    assert quietcam(*words)[0] == 0
    (tmp_path / "c.toml").write_text(NETWORK.replace("[8, 16]", "[16, 16]"))
    code, shown = quietcam(*words, "--resume")
    assert code == 2
    assert "which differs in model.widths. Remedy: give the same config and --data again" in one_line(shown)
    # What is there is as it was.
    assert quietcam("evaluate", tmp_path / "run", "--data", pair_folder, "--pictures", "0", "--split", "all")[0] == 0
