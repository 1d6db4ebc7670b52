"""The end of a program that read a camera: a thread that is inside OpenCV then would abort it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys, time
import numpy as np
from edge.cameras.base import Camera
from edge.cameras.supervised import SupervisedCamera
from edge.run.frame import Frame

class Slow(Camera):
    name, live, size, stopped = "slow", True, (8, 6), False

    def stop(self):
        self.stopped = True

    def __iter__(self):
        yield Frame(np.zeros((6, 8, 3), np.uint8), time.monotonic(), 0)
        while not self.stopped:
            time.sleep(0.01)
        time.sleep(1.5)  # longer than a camera that is closed waits for it
        print("the read has ended", flush=True)

camera = SupervisedCamera(Slow)
if sys.argv[1] == "closed":
    with camera:
        next(iter(camera))
else:
    frames = iter(camera)
    next(frames)
print("the program has ended", flush=True)
"""


@pytest.mark.parametrize("camera", ["closed", "open"])
def test_a_read_that_is_under_way_at_the_end_of_a_program_is_waited_for(camera: str) -> None:
    folder = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, camera], cwd=folder, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["the program has ended", "the read has ended"]
