"""Plain dark scenes, noisy, whose camera is at every phase of a block."""

import numpy as np
import pytest

from train.patches.dark_flats import dark_flats


@pytest.mark.parametrize(("channels", "block"), [(3, 2), (1, 4)])
def test_dark_noisy_pictures_have_no_phases_of_their_own(channels, block):
    pictures = dark_flats(channels, block, scenes=6)
    assert pictures.shape == (6 * block**2, 128, 128, channels)
    assert pictures.dtype == np.uint8
    assert 3 < pictures.mean() < 100
    assert pictures.std((1, 2)).min(0).min() > 1
    values = pictures.reshape(6, block**2, 128, 128, channels).astype(np.float64)
    one, all_places = (
        np.array([[each[..., y::block, x::block, :].mean((1, 2)) for x in range(block)] for y in range(block)])
        for each in (values[:, 0], values.mean(1))
    )
    assert np.abs(all_places - all_places.mean((0, 1))).max() < 0.25 * np.abs(one - one.mean((0, 1))).max()


def test_they_are_the_same_every_time_and_cannot_be_changed():
    pictures = dark_flats(3, 2, scenes=2)
    np.testing.assert_array_equal(pictures, dark_flats.__wrapped__(3, 2, scenes=2))
    assert not pictures.flags.writeable
