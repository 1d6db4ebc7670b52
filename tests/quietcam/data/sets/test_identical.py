"""Identical pictures, whatever the file."""

import struct
import zipfile
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quietcam.data.sets import identical as module
from quietcam.data.sets.identical import find_identical, picture_sha256
from quietcam.data.sets.pairs import find_pairs


def names(found):
    return sorted(sorted(place.name for place in same) for same in found)


def png(rows, kind, filters):
    """A PNG made by hand, filter by filter as section 9 of the specification says. ``rows`` ``(H, W, C)``."""
    height, width, channels = rows.shape
    above = np.zeros((width, channels), int)
    lines = []
    for row, name in zip(rows.astype(int), filters, strict=True):
        left = np.vstack([np.zeros((1, channels), int), row[:-1]])
        corner = np.vstack([np.zeros((1, channels), int), above[:-1]])
        estimate = left + above - corner
        distances = [np.abs(estimate - each) for each in (left, above, corner)]
        paeth = np.where(
            (distances[0] <= distances[1]) & (distances[0] <= distances[2]),
            left,
            np.where(distances[1] <= distances[2], above, corner),
        )
        guess = [np.zeros_like(row), left, above, (left + above) // 2, paeth][name]
        lines.append(bytes([name]) + ((row - guess) % 256).astype(np.uint8).tobytes())
        above = row

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    packed = zlib.compress(b"".join(lines))
    parts = [packed[at : at + 7] for at in range(0, len(packed), 7)]
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    chunks = [chunk(b"IHDR", header), *(chunk(b"IDAT", part) for part in parts), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 40), st.integers(1, 4), st.sampled_from([0, 2]), st.integers(0, 4), st.integers(0, 99))
def test_the_first_row_of_any_png(tmp_path_factory, width, height, kind, filter_name, seed):
    channels = 3 if kind == 2 else 1
    rows = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
    path = tmp_path_factory.mktemp("png") / "a.png"
    path.write_bytes(png(rows, kind, [filter_name] * height))
    decoded = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    np.testing.assert_array_equal(decoded, np.repeat(rows, 3 // channels, axis=2))  # the maker is right
    key = module._png_first_row(path.read_bytes())
    assert key is not None
    assert key == module._row_key(width, height, decoded[0].tobytes())


def test_other_codings_of_one_picture(tmp_path, picture, save):
    image = picture()
    save(tmp_path / "a.png", image)
    cv2.imwrite(str(tmp_path / "b.png"), image[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 0])
    save(tmp_path / "c.bmp", image)
    save(tmp_path / "d.tif", image)
    (tmp_path / "e.png").write_bytes(png(image, 2, [3] * len(image)))
    save(tmp_path / "f.png", picture(seed=9))
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 6
    assert names(find_identical(tmp_path.iterdir())) == [["a.png", "b.png", "c.bmp", "d.tif", "e.png"]]


def test_gray_and_rgb(tmp_path, picture, save):
    gray = picture()[..., :1]
    save(tmp_path / "a.png", gray)
    save(tmp_path / "b.png", np.repeat(gray, 3, axis=2))
    assert names(find_identical(tmp_path.iterdir())) == [["a.png", "b.png"]]


def test_equal_first_rows_are_not_enough(tmp_path, picture, save):
    image = picture()
    save(tmp_path / "a.png", image)
    other = image.copy()
    other[-1, -1, 0] ^= 1
    save(tmp_path / "b.png", other)
    save(tmp_path / "c.png", image[:-1])
    assert find_identical(tmp_path.iterdir()) == []


def test_pictures_with_other_first_rows_are_not_decoded(tmp_path, picture, save, monkeypatch):
    for seed in range(4):
        save(tmp_path / f"{seed}.png", picture(seed=seed))
    monkeypatch.setattr(module, "read_picture", lambda place: pytest.fail(f"{place} was decoded"))
    assert find_identical(tmp_path.iterdir()) == []


def test_broken_files_are_compared_byte_for_byte(tmp_path, picture, save):
    content = save(tmp_path / "whole.png", picture(60, 60)).read_bytes()
    for name in ("a", "b"):
        (tmp_path / f"{name}.png").write_bytes(content[:80])
        (tmp_path / f"{name}_half.png").write_bytes(content[: len(content) // 2])
    assert names(find_identical(tmp_path.iterdir())) == [["a.png", "b.png"], ["a_half.png", "b_half.png"]]


def test_in_an_archive_and_beside_it(tmp_path, picture, save):
    save(tmp_path / "noisy" / "a.png", picture(seed=1))
    save(tmp_path / "clean" / "a.png", picture(seed=2))
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as file:
        for side in ("noisy", "clean"):
            file.write(tmp_path / side / "a.png", f"{side}/z.png")
    (inside,) = find_pairs(tmp_path / "set.zip")
    (outside,) = find_pairs(tmp_path)
    places = [inside.noisy, inside.clean, outside.noisy, outside.clean]
    assert find_identical(places) == [[inside.noisy, outside.noisy], [inside.clean, outside.clean]]


def test_digest_tells_size_and_pixels(picture):
    image = picture(24, 32)
    assert picture_sha256(image) == picture_sha256(image.copy())
    assert picture_sha256(image) == picture_sha256(np.asfortranarray(image))
    assert picture_sha256(image) != picture_sha256(image.reshape(32, 24, 3))
    assert picture_sha256(image) != picture_sha256(image[::-1])
