"""Frames that are kept as pictures get full treatment, even while the ladder reduces the work on others."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from edge.network.denoiser import Denoiser
from edge.network.treatment import Rung, Treatment
from edge.run.degrade.ladder import Ladder, LadderRules
from edge.run.degrade.ladder_denoiser import LadderDenoiser, LadderOptions, open_ladder
from edge.run.frame import Frame
from edge.sinks.folder import FolderSink
from edge.sinks.spool.options import SpoolOptions
from edge.sinks.spool.sink import SpoolSink
from quietcam.data.pictures.caption import caption_of
from quietcam.data.pictures.files import read_picture
from quietcam.image import Image
from tests.edge.run.clockwork import Clockwork, Inverts, Viewer, Warm, ran
from tests.small_models import picture

LOWEST = (Rung.HALF_SIZE, Rung.SMALLER, Rung.EVERY_SECOND, Rung.PASS_THROUGH)
NETWORK = Treatment(model="small_32x32_int8")


class TestSpoolUnderTheLadder:
    @pytest.mark.parametrize("step", LOWEST)
    def test_what_is_stored_got_all_of_the_network(self, small: Path, tmp_path: Path, step: Rung) -> None:
        """`every=10,twin=yes`: of 10 pictures 6 were the noisy ones, bit for bit."""
        camera, viewer = Clockwork(196, 0.5), Viewer()
        options = SpoolOptions.parse(f"{tmp_path / 'spool'},every=10,twin=yes,format=png")
        spool = SpoolSink(options, clock=lambda: camera.now, wall=lambda: camera.now)
        smaller = LadderOptions(smaller=small, threads=1)
        with (
            spool,
            Denoiser(small, 1) as full,
            open_ladder(full, smaller, Warm(40.0)) as denoiser,
            Denoiser(small, 1) as judge,
        ):
            denoiser._ladder = Ladder((step,))
            if step is not Rung.SMALLER:
                denoiser._smaller = None
            health = ran(camera, denoiser, [spool, viewer])
            pairs = sorted(each for each in (tmp_path / "spool").iterdir() if not each.name.startswith("."))
            assert len(pairs) == spool.stored == 10
            for pair in pairs:
                noisy, denoised = read_picture(pair / "noisy.png"), read_picture(pair / "denoised.png")
                np.testing.assert_array_equal(denoised, judge.denoise(noisy))
                assert (denoised != noisy).any()
                said = json.loads(caption_of((pair / "denoised.png").read_bytes()) or "")["quietcam"]
                assert (said["kind"], said["share"], said["model"]) == ("full", 1.0, "small_32x32_int8")
        assert (health.worked["full"], spool.stored_untouched) == (10, 0)
        # The view gets what the ladder allows, in pass-through also of the frames that were worked on: no blink.
        shares = {treatment.share for _, _, treatment in viewer.taken if treatment is not None}
        assert shares == {0.0 if step is Rung.PASS_THROUGH else 1.0}
        assert len(viewer.taken) >= 98
        for noisy, denoised, treatment in viewer.taken:
            assert treatment is not None
            assert np.array_equal(noisy, denoised) == (treatment.share == 0.0)

    def test_also_while_heat_takes_it_down_and_it_comes_back(self, small: Path, tmp_path: Path) -> None:
        camera, heat = Clockwork(2000, 0.5), Warm(90.0)

        class Cooled(Viewer):
            def write(self, frame: Frame, denoised: Image) -> None:
                heat.degrees = 90.0 if 100 < frame.timestamp < 200 else 40.0
                super().write(frame, denoised)

        spool = SpoolSink(
            SpoolOptions.parse(f"{tmp_path},every=10,twin=yes,format=png"),
            clock=lambda: camera.now,
            wall=lambda: camera.now,
        )
        rules = LadderRules(hot=80, cool=72, settle=5, recover=60)
        ladder = Ladder((Rung.FULL, Rung.HALF_SIZE, Rung.PASS_THROUGH), rules)
        viewer = Cooled()
        with spool, Denoiser(small, 1) as denoiser, Denoiser(small, 1) as judge:
            health = ran(camera, LadderDenoiser(denoiser, ladder, heat), [spool, viewer])
            for pair in tmp_path.glob("0*"):
                noisy = read_picture(pair / "noisy.png")
                np.testing.assert_array_equal(read_picture(pair / "denoised.png"), judge.denoise(noisy))
        assert spool.stored == 100
        kinds = [treatment.kind for _, _, treatment in viewer.taken if treatment is not None]
        assert kinds[0] == kinds[-1] == "full"
        assert {"fewer pixels", "untouched"} < set(kinds)
        assert ladder.rung is Rung.FULL
        assert sum(health.worked.values()) == health.frames == 2000

    def test_frames_that_are_kept_as_pictures_are_not_late(self, tmp_path: Path) -> None:
        """Their work does not count for the ladder: if it did, the ladder would never go up again."""
        camera = Clockwork(400, 0.5)

        class Slow(Inverts):
            def denoise(self, noisy: Image, out: Image | None = None) -> Image:
                camera.now += 1.0
                return super().denoise(noisy, out)

        spool = SpoolSink(SpoolOptions.parse(f"{tmp_path},every=10"), clock=lambda: camera.now)
        ladder = Ladder((Rung.FULL, Rung.PASS_THROUGH), LadderRules(settle=2, recover=60))
        viewer = Viewer()
        with spool:
            ran(camera, LadderDenoiser(Slow(), ladder, Warm(40.0), deadline=0.5), [spool, viewer])
        steps = [treatment.step for _, _, treatment in viewer.taken if treatment is not None]
        changes = [(a, b) for a, b in itertools.pairwise(steps) if a is not b]
        assert (Rung.FULL, Rung.PASS_THROUGH) in changes
        assert (Rung.PASS_THROUGH, Rung.FULL) in changes

    def test_a_change_asks_for_the_network_once_in_a_gap(self, tmp_path: Path) -> None:
        """If they were not, a change that is only noise would ask for full treatment all the time."""
        now = [0.0]
        spool = SpoolSink(SpoolOptions.parse(f"{tmp_path},change=8,gap=2"), clock=lambda: now[0])
        dark, light = np.full((48, 64, 3), 20, np.uint8), np.full((48, 64, 3), 20, np.uint8)
        light[:24, :30] = 200
        with spool:
            assert spool.wants(Frame(dark, 0.0, 0))
            spool.write(Frame(dark, 0.0, 0, treatment=NETWORK), dark)
            asked = []
            for now[0] in np.arange(0.5, 8.1, 0.5).tolist():
                if spool.wants(Frame(light, now[0], 1)):
                    asked.append(now[0])
                spool.write(Frame(light, now[0], 1, treatment=Treatment(Rung.HALF_SIZE, "a", "half")), light)
            assert asked == [2.0, 4.0, 6.0, 8.0]
            assert not any(spool.wants(Frame(dark, now[0], 1)) for now[0] in (20.0, 40.0))
            assert spool.stored == 1
            spool.write(Frame(light, now[0], 2, treatment=NETWORK), light)
            assert spool.stored == 2

    def test_a_frame_that_no_network_can_do_anything_about_is_kept_and_says_so(self, tmp_path: Path) -> None:
        """With a broken network or a clean scene the run continues, and file names say so."""
        now = [0.0]
        image = picture(16, 16)
        for twin, name in (("yes", "untouched.png"), ("no", "_untouched.png")):
            folder = tmp_path / twin
            spool = SpoolSink(SpoolOptions.parse(f"{folder},every=1,format=png,twin={twin}"), clock=lambda: now[0])
            with spool:
                for _ in range(2):
                    now[0] += 1.0
                    spool.write(Frame(image, now[0], 0, treatment=Treatment(why="the network fails")), image)
            entries = sorted(each for each in folder.iterdir() if not each.name.startswith("."))
            assert spool.report()["stored_untouched"] == len(entries) == 2
            if twin == "yes":
                assert sorted(each.name for each in entries[0].iterdir()) == ["noisy.png", name]
            else:
                assert entries[0].name.endswith(name)
            with SpoolSink(SpoolOptions(folder)) as again:  # it counts what has such names
                assert len(again._store.entries) == 2

    def test_pictures_of_a_folder_say_it_too(self, small: Path, tmp_path: Path) -> None:
        camera = Clockwork(2, 1.0)
        with FolderSink(tmp_path / "out") as sink, Denoiser(small, 1, strength=0.5) as denoiser:
            ran(camera, denoiser, [sink])
        said = [caption_of(each.read_bytes()) or "" for each in (tmp_path / "out").iterdir()]
        assert [json.loads(each)["quietcam"]["share"] for each in said] == [0.5, 0.5]
