"""The golden frame: writes what the shipped models make of one picture, to compare it with another machine.

    python lab/golden_frame.py write FOLDER      # noisy and denoised pictures of every int8 model that ships
    python lab/golden_frame.py check FOLDER      # on the other machine; exit code 3 when a value differs by more than 8

Int8 kernels of different processors round differently, by up to 5 steps of 255 as seen. The limit is that of the golden
frames in the models' manifests (`edge.network.golden.TOLERANCE`).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from edge.models import shipped_models
from edge.network.denoiser import Denoiser
from edge.network.golden import TOLERANCE
from quietcam.data.pictures.files import read_picture, write_picture
from quietcam.sensor.scenes import make_pair


def main() -> int:
    """Write or check."""
    what, folder = sys.argv[1], Path(sys.argv[2])
    models = [path for path in shipped_models() if path.stem.endswith("_int8")]
    if what == "write":
        write_picture(folder / "noisy.png", make_pair(1, 320, band=(22, 24))[0][:300])
    noisy = read_picture(folder / "noisy.png")
    worst = 0
    for path in models:
        with Denoiser(path, 1) as denoiser:
            denoised = denoiser.denoise(noisy)
            if what == "write":
                write_picture(folder / f"{path.stem}.png", denoised)
                continue
            difference = np.abs(denoised.astype(int) - read_picture(folder / f"{path.stem}.png"))
            worst = max(worst, int(difference.max()))
            share = np.count_nonzero(difference) / difference.size
            print(f"{path.stem}: {denoiser.runtime}: {share:.4%} of the values differ, by {difference.max()} at most")
    print(f"{worst} of 255 at most, {TOLERANCE} are allowed")
    return 3 if worst > TOLERANCE else 0


if __name__ == "__main__":
    sys.exit(main())
