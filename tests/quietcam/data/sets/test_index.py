"""The index of a data set: figures against plain numpy, and every fault that was put in."""

import json
import math
import re
import shutil
import zipfile

import cv2
import numpy as np
import pytest

from quietcam.app import cli
from quietcam.data.sets.index import KINDS, index_data
from quietcam.data.sets.pairs import find_pairs
from quietcam.data.sets.split import SplitRule, split_by_scene
from quietcam.errors import DataError, UsageError
from tests.processes import measure_quietcam

INSTANCES = [
    "0001_001_S6_00100_00060_3200_L",
    "0002_001_S6_00800_00350_3200_N",
    "0003_002_GP_00100_00060_5500_N",
    "0004_004_IP_01600_00750_5500_H",
]


@pytest.fixture
def sidd(tmp_path, save):
    """A tree as SIDD-Small's: pairs of a clean scene and Gaussian noise of sigma 4, 8, 12, 16."""

    def make(folder="SIDD_Small_sRGB_Only/Data", size=128):
        for index, instance in enumerate(INSTANCES):
            clean = scene(index, size)
            noise = np.random.default_rng(index).normal(0, 4 * (index + 1), clean.shape)
            noisy = np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)
            save(tmp_path / folder / instance / "NOISY_SRGB_010.PNG", noisy)
            save(tmp_path / folder / instance / "GT_SRGB_010.PNG", clean)
        return tmp_path / folder

    return make


def scene(seed, size=128):
    """A clean picture away from black and white, so that noise is not clipped."""
    noise = np.random.default_rng(1000 + seed).normal(size=(size, size, 3))
    blurred = cv2.GaussianBlur(noise, (0, 0), 1.2) * 3 + cv2.GaussianBlur(noise, (0, 0), 8) * 20
    return np.clip(np.rint(128 + 20 * blurred / blurred.std()), 70, 186).astype(np.uint8)


def kinds(index):
    return [(problem.kind, problem.name) for problem in index.problems]


def test_figures(sidd):
    index = index_data(sidd())
    assert index.problems == []
    for number, (facts, pair) in enumerate(zip(index.facts, find_pairs(sidd()), strict=True)):
        noisy, clean = (side.astype(float) for side in pair.read())
        assert facts.psnr == pytest.approx(10 * math.log10(255**2 / np.mean((noisy - clean) ** 2)), abs=1e-6)
        assert facts.noise.sigma == pytest.approx(4 * (number + 1), rel=0.03)
        assert facts.level == pytest.approx(clean.mean())
        assert (facts.width, facts.height) == (128, 128)
        assert facts.shift.distance < 0.1


def test_groups(sidd):
    groups = index_data(sidd()).groups()
    counts = {key: {value: group["pairs"] for value, group in values.items()} for key, values in groups.items()}
    assert counts == {
        "scene": {"001": 2, "002": 1, "004": 1},
        "phone": {"GP": 1, "IP": 1, "S6": 2},
        "iso": {"100": 2, "800": 1, "1600": 1},
        "brightness": {"H": 1, "L": 1, "N": 2},
    }
    first = groups["scene"]["001"]
    assert first["psnr"]["least"] == pytest.approx(20 * math.log10(255 / 8), abs=0.2)
    assert first["psnr"]["greatest"] == pytest.approx(20 * math.log10(255 / 4), abs=0.2)
    assert first["sigma"] == pytest.approx(6, rel=0.05)


def test_an_archive_and_the_folder_give_the_same(sidd, tmp_path):
    folder = sidd()
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as file:
        for path in sorted(folder.rglob("*.PNG")):
            file.write(path, path.relative_to(tmp_path))
    inside, outside = (index_data(path).to_dict() for path in (tmp_path / "set.zip", folder))
    for report in (inside, outside):
        del report["data"]
        for pair in report["pairs"]:
            del pair["noisy"], pair["clean"]
    assert inside == outside


def test_every_fault_is_found_and_named(sidd, save):
    root = sidd()

    def put(number, noisy, clean):
        name = f"{number:04d}_003_N6_00400_00060_3200_L"
        for side, image in (("NOISY", noisy), ("GT", clean)):
            if image is not None:
                save(root / name / f"{side}_SRGB_010.PNG", image)
        return f"{name}_010"

    def noise(seed, size=128, draw=0):
        clean = scene(seed, size)
        return np.clip(clean + np.random.default_rng(draw).normal(0, 5, clean.shape), 0, 255).astype(np.uint8)

    lone = put(20, noise(20), None)
    shifted = put(21, noise(21, size=140)[2:130, 7:135], scene(21, 140)[4:132, 4:132])
    uneven = put(22, noise(22)[:120], scene(22))
    other = put(23, noise(23), scene(99))
    broken = put(24, noise(24), scene(24))
    same = put(25, scene(25), scene(25))
    twice = put(26, noise(26), scene(26))
    thrice = put(27, noise(26, draw=1), scene(26))
    path = root / broken[:-4] / "GT_SRGB_010.PNG"
    path.write_bytes(path.read_bytes()[:3000])
    index = index_data(root)
    found = kinds(index)
    assert found == [
        ("missing twin", f"{lone[:-4]}/NOISY_SRGB_010.PNG"),
        ("unreadable", broken),
        ("size", uneven),
        ("different pictures", other),
        ("misregistered", shifted),
        ("duplicate", same),
        ("duplicate", twice),
    ]
    details = {problem.kind: problem.detail for problem in index.problems}
    x, y = re.match(r".* lies (\S+) px left and (\S+) px down", details["misregistered"]).groups()
    assert (float(x), float(y)) == pytest.approx((3, 2), abs=0.1)
    assert details["size"] == "noisy 128x120 and clean 128x128"
    assert "cut short" in details["unreadable"]
    assert details["duplicate"] == f"its clean picture is identical to that of {thrice} (clean)"
    assert {facts.pair.name for facts in index.facts}.isdisjoint({lone, uneven, broken})
    assert {kind for kind, _ in found} <= set(KINDS)
    assert dict(kinds(index_data(root, max_shift=5.0))).get("misregistered") is None


def test_one_picture_in_two_scenes(sidd):
    root = sidd()
    first, second = (root / INSTANCES[index] for index in (0, 3))
    clean = cv2.imread(str(first / "GT_SRGB_010.PNG"))
    cv2.imwrite(str(second / "GT_SRGB_010.PNG"), clean, [cv2.IMWRITE_PNG_COMPRESSION, 0])
    index = index_data(root)
    assert ("duplicate", f"{INSTANCES[0]}_010") in kinds(index)
    assert "a split keeps scenes 001 004 on one side" in next(p.detail for p in index.problems if p.kind == "duplicate")
    assert "of which 2 share no picture" in index.split["error"]


def test_the_split_is_that_of_training(sidd):
    root = sidd()
    split = split_by_scene(find_pairs(root))
    index = index_data(root)
    assert index.split["scenes"] == {side: split.scenes(side) for side in ("train", "validation", "test")}
    assert index.split["pairs"] == {side: len(split.side(side)) for side in ("train", "validation", "test")}
    chosen = index_data(root, rule=SplitRule.parse("test=004,validation=002")).split
    assert chosen["scenes"] == {"train": ["001"], "validation": ["002"], "test": ["004"]}
    with pytest.raises(UsageError, match="Received: 009"):
        index_data(root, rule=SplitRule.parse("test=009"))


def test_benchmark_blocks(tmp_path):
    noisy = np.random.default_rng(0).normal(128, 10, (2, 3, 64, 64, 3)).clip(0, 255).astype(np.uint8)
    pytest.importorskip("scipy.io", reason="needs the extra 'train'").savemat(
        tmp_path / "BenchmarkNoisyBlocksSrgb.mat", {"BenchmarkNoisyBlocksSrgb": noisy}
    )
    index = index_data(tmp_path / "BenchmarkNoisyBlocksSrgb.mat")
    assert index.facts == index.problems == []
    assert len(index.noisy_only) == 6
    assert index.noisy_only[4]["level"] == pytest.approx(noisy[1, 1].mean(), abs=0.01)
    for row in index.noisy_only:
        assert row["noise"]["sigma"] == pytest.approx(10, rel=0.25)


def test_pictures_too_small_to_register(dataset):
    index = index_data(dataset({"a": 1, "b": 2}, height=8, width=9))
    assert [facts.shift for facts in index.facts] == [None, None]
    assert index.problems == []


def test_nothing_there(tmp_path):
    with pytest.raises(DataError, match="must hold pairs"):
        index_data(tmp_path)
    with pytest.raises(UsageError, match="nothing there"):
        index_data(tmp_path / "none")
    with pytest.raises(UsageError, match="`max_shift` must be at least 0 pixels"):
        index_data(tmp_path, max_shift=float("nan"))


def test_command(sidd, tmp_path, capsys):
    root = sidd()
    save = root / INSTANCES[1] / "NOISY_SRGB_011.PNG"
    shutil.copy(root / INSTANCES[1] / "NOISY_SRGB_010.PNG", save)
    report = tmp_path / "index.json"
    arguments = ["data", "index", str(root), "--split", "test=004,validation=002", "--json"]
    assert cli.run([*arguments, str(report)]) == 0
    printed = capsys.readouterr().out
    for words in ("ISO", "1600", "GP", "128x128 (4)", "missing twin 1", "NOISY_SRGB_011.PNG: no clean twin"):
        assert words in printed
    assert "test            1 pairs, scenes 004" in printed
    content = json.loads(report.read_text())
    assert content["format"] == 1
    assert content["total"]["pairs"] == len(content["pairs"]) == 4
    assert content["pairs"][3]["instance"]["phone"] == "IP"
    assert content["problems"][0]["kind"] == "missing twin"
    assert cli.run([*arguments, "-"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == content
    assert "missing twin 1" in captured.err


def test_command_with_nothing_usable(tmp_path, save, picture, capsys):
    save(tmp_path / "noisy" / "a.png", picture())
    assert cli.run(["data", "index", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert "noisy/a.png: no clean twin" in captured.out
    assert "which holds none" in captured.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--split", "004"], "A split has the options test, validation, seed"),
        (["--max-shift", "-1"], "max-shift"),
        (["--max-shift", "x"], "max-shift"),
    ],
)
def test_wrong_usage_is_one_line(sidd, arguments, said, capsys):
    assert cli.run(["data", "index", str(sidd()), *arguments]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert len(captured.err.splitlines()) == 1


def test_one_pair_at_a_time_in_memory(tmp_path):
    # 6 megapixels a picture: 18 MB each. Three pairs may take no more than one does.
    generator = np.random.default_rng(0)
    for n in range(3):
        clean = cv2.resize(generator.integers(0, 256, (40, 60, 3), dtype=np.uint8), (3000, 2000))
        for side, image in (("clean", clean), ("noisy", clean + generator.integers(0, 4, clean.shape, dtype=np.uint8))):
            (tmp_path / side).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / side / f"{n}.png"), image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    peaks = []
    for count in (1, 3):
        if count == 1:
            lone = tmp_path / "lone"
            for side in ("noisy", "clean"):
                (lone / side).mkdir(parents=True)
                shutil.copy(tmp_path / side / "0.png", lone / side)
        folder = lone if count == 1 else tmp_path
        peaks.append(measure_quietcam("data", "index", folder, "--json", tmp_path / "out.json")[1])
        if count == 1:
            shutil.rmtree(lone)
    assert peaks[1] < peaks[0] + 18
    assert peaks[1] < 1024
