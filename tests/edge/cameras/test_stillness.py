"""Stillness: a picture that stays the same for seconds counts as frozen, unless it is all black or white."""

from __future__ import annotations

import numpy as np

from edge.cameras.stillness import Stillness
from tests.small_models import picture


class TestStillness:
    def test_seconds_count_from_the_first_of_the_same_pictures(self) -> None:
        """They count from the first checksum, which is that of the second equal picture; three checksums are needed."""
        still = Stillness()
        image = picture(40, 50)
        times = [still.seconds(image, now) for now in (1.0, 2.0, 4.5, 5.0, 9.0)]
        assert times == [0.0, 0.0, 0.0, 3.0, 7.0]
        assert still.seconds(picture(40, 50, seed=1), 9.5) == 0.0
        assert still.seconds(image, 10.0) == 0.0

    def test_equal_samples_of_different_pictures_are_no_freeze_and_are_not_counted(self) -> None:
        """A slow camera, whose samples stay equal while other pixels move; then two equal pictures, 4 s apart."""
        still = Stillness()
        image = picture(100, 100)
        moving = []
        for number in range(5):
            moving.append(image.copy())
            moving[-1][1, 1] = number  # between the samples
        told = [still.seconds(each, 4.0 * number) for number, each in enumerate([*moving, moving[-1]])]
        assert told == [0.0] * 6

    def test_one_pixel_that_no_sample_sees_is_a_change(self) -> None:
        still = Stillness()
        image = picture(100, 100)
        other = image.copy()
        other[1, 1] ^= 1
        times = [still.seconds(each, float(now)) for now, each in enumerate([image] * 5 + [other] * 4)]
        assert times == [0.0, 0.0, 0.0, 2.0, 3.0, 0.0, 0.0, 2.0, 3.0]

    def test_black_and_white_do_not_count(self) -> None:
        still = Stillness()
        image = np.full((40, 40, 3), 255, np.uint8)
        image[:20] = 3
        assert [still.seconds(image, now) for now in (1.0, 9.0)] == [0.0, 0.0]
        image[:20, :20] = 90
        assert [still.seconds(image, now) for now in (10.0, 11.0, 12.0, 19.0)] == [0.0, 0.0, 0.0, 8.0]
