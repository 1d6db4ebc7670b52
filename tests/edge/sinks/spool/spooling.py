"""Stores frames without a pause, and prints the number of each stored frame, until a test kills it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from edge.sinks.spool.store import Store
from quietcam.data.pictures.files import encode_picture


def main(folder: Path, limit: int, twin: bool) -> None:
    store = Store(folder, limit)
    store.open()
    last = store.entries[-1].name if store.entries else None
    number = int(last.split("_")[0]) + 1 if last else 0
    while True:
        content = encode_picture(np.full((8, 8, 3), number % 256, np.uint8), ".png")
        entry = store.add({"noisy.png": content, "denoised.png": content} if twin else {".png": content})
        print(int(entry.name.split("_")[0]), flush=True)
        number += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), bool(int(sys.argv[3])))
