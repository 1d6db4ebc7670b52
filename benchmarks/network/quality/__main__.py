"""Judges models by all that those that ship must reach.

    python -m benchmarks.network.quality [--model NAME|FILE.tflite ...] [--data ../shared/data] [--clips DIR]
        [--drawn DIR] [--peer nafnet_rgb_small.tflite] [--threads 2] [--quick] [--markdown] [--csv FILE]

Without --model it judges all models that ship but the demo's. Several files of one size are judged beside each other.
A file must take color frames of 256x256. Its float twin is found in the same folder, by the manifests. Its size, and so
its targets, come from the start of the name in its manifest (nano, small, base), or from its GMACs.

PSNR is on uint8 RGB, the mean over pictures of the PSNR of each central 256x256, without the gate. The sets: "native"
and "squeezed" are sidd_native/valid and sidd_small_256/valid; "machine" and "pi" are frames of the videos in --clips
behind machine cameras and Raspberry Pi cameras that no training draws. A later version of quietcam.sensor may draw
other cameras: --drawn names a folder that keeps the pictures for later runs, which then need no --clips. No figure here
is a SIDD benchmark score. What each table means is in docs/measurements/models.md.

Prints tables (--markdown: for the documentation) and the targets that are missed, and appends every figure to
benchmarks/results/quality.csv. --quick leaves out the times. Exit code 3 if a model misses what it must reach.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.network.quality.candidates import find_candidates
from benchmarks.network.quality.drawn import dark_flats, kept
from benchmarks.network.quality.judge import PEER, add_over_small, judge, reference_lines, speed_lines
from benchmarks.network.quality.sets import fingerprint, read_sets
from benchmarks.network.quality.tables import append_lines, missed, tables
from benchmarks.records import DATA, PEER_MODEL, RESULTS
from edge.network.modelfile import load_model
from quietcam.errors import QuietcamError


def main(words: list[str] | None = None) -> int:
    """Measure, print, append, judge."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.network.quality",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", nargs="+", default=[], metavar="NAME", help="a name that ships, or a .tflite file")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the two SIDD sets")
    parser.add_argument("--clips", type=Path, help="folder of videos (default: video/ in --data)")
    parser.add_argument(
        "--drawn", type=Path, help="folder that keeps drawn pictures (default: they are drawn each time)"
    )
    parser.add_argument("--peer", type=Path, default=PEER_MODEL)
    parser.add_argument("--threads", type=int, nargs="+", default=[2], help="of the measured times (default: 2)")
    parser.add_argument("--quick", action="store_true", help="measure no times")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    parser.add_argument("--csv", type=Path, default=RESULTS / "quality.csv", help="file to append every figure to")
    options = parser.parse_args(words)
    try:
        return run(options)
    except QuietcamError as error:
        print(f"quality: {error}", file=sys.stderr)
        return error.exit_code


def run(options: argparse.Namespace) -> int:
    """The work of the command, after its options are read."""
    candidates, peer = find_candidates(options.model), load_model(options.peer)
    sets = read_sets(options.data, options.clips or options.data / "video", options.drawn)
    flats = kept(options.drawn, "dark", dark_flats())
    lines = reference_lines(sets, flats, peer)
    lines |= {each.name: judge(each, sets, flats, lines[PEER]) for each in candidates}
    add_over_small(lines, candidates)
    if not options.quick:
        for threads in options.threads:
            timed = speed_lines(candidates, peer, next(iter(sets.values()))[0], threads)
            for name, found in timed.items():
                lines[name] += found
    judged = [image for each in sets.values() for one in each for image in (one.noisy, one.clean)]
    pictures = fingerprint([*judged, *(image for _, *pair in flats for image in pair)])
    print(tables(lines, markdown=options.markdown))
    print(f"\nFingerprint of the pictures: {pictures}")
    append_lines(options.csv, lines, {each.name: each.file for each in candidates}, pictures)
    failed = missed(lines)
    print("\n" + ("Missed:\n" + "\n".join(f"  {each}" for each in failed) if failed else "All targets are met."))
    return 3 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
