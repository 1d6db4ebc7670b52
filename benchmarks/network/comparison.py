"""Checks that a comparison takes under a minute, and no more memory for more pairs, with generated pairs.

    python -m benchmarks.network.comparison [--pairs 100] [--csv benchmarks/results/compare.csv]

It runs `quietcam compare` on the two shipped 256x256 models, with layers, JSON and HTML, on a tenth of the pairs and on
all of them, each in a separate process. Two limits must hold (exit code 3 if one does not): all pairs within 60
seconds, and a memory peak at most 32 MiB above that with a tenth.
"""

from __future__ import annotations

import argparse
import datetime
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.records import RESULTS, append, commit, machine
from quietcam.data.generated import write_pairs

SECONDS, MORE_MIB = 60.0, 32.0
MODELS = ("demo_256x256_float32", "demo_256x256_int8")
_CHILD = (
    "import resource, sys; from quietcam.app.cli import run; code = run(sys.argv[1:]); "
    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr); sys.exit(code)"
)


def main() -> int:
    """Measure, print, append lines, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--csv", type=Path, default=RESULTS / "compare.csv")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "pairs")
        write_pairs(data, count=options.pairs, size=256)
        for count in (max(1, options.pairs // 10), options.pairs):
            seconds, mib = measure(data, count, Path(folder))
            print(f"{count:5} pairs {seconds:7.1f} s {mib:7.0f} MiB")
            rows.append({"pairs": count, "seconds": round(seconds, 1), "peak_mib": round(mib)})
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    for row in rows:
        append(options.csv, {"date": today, "machine": machine(), "commit": commit()} | row)
    return 0 if rows[1]["seconds"] < SECONDS and rows[1]["peak_mib"] - rows[0]["peak_mib"] <= MORE_MIB else 3


def measure(data: Path, pairs: int, folder: Path) -> tuple[float, float]:
    """Seconds and the most memory held, MiB, of one comparison."""
    words = [
        "compare",
        *MODELS,
        "--data",
        data,
        "--limit",
        pairs,
        "--json",
        folder / "c.json",
        "--html",
        folder / "c.html",
    ]
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, *map(str, words)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    return time.perf_counter() - start, int(done.stderr.split()[-1]) / 1024


if __name__ == "__main__":
    sys.exit(main())
