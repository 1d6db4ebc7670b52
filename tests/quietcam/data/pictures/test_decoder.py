"""What a decoder says of one picture is not taken for another's."""

import threading

import cv2
import numpy as np
import pytest

from quietcam.data.pictures.files import read_picture
from quietcam.errors import DataError
from tests.waiting import ended


def test_a_whole_picture_stays_whole_beside_a_broken_one(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)
    content = cv2.imencode(".jpg", pixels)[1].tobytes()
    whole, broken = tmp_path / "whole.jpg", tmp_path / "broken.jpg"
    whole.write_bytes(content)
    broken.write_bytes(content[: len(content) // 2] + b"\xff\xd9")
    enough = threading.Event()
    found = []

    def read_broken():
        while not enough.is_set():
            with pytest.raises(DataError, match="pixels are missing"):
                read_picture(broken)

    def read_whole():
        try:
            for _ in range(150):
                read_picture(whole)
        except DataError as error:
            found.append(error)
        enough.set()

    threads = [threading.Thread(target=read_broken), threading.Thread(target=read_whole)]
    for thread in threads:
        thread.start()
    for thread in threads:
        ended(thread)
    assert found == []
