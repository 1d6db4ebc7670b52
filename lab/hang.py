"""Lets parts of a run hang, and checks that the other parts continue: `make hang`.

    python lab/hang.py [--rounds 30] [--seconds 5] [--only CASE]

In each round a library, a disk (during the run, and from its start), the camera and the configuration hang, one after
the other and all together, each in its own run (`tests/edge/hanging.py`). Rules: the page answers within 1 s, frames
continue unless the camera hangs, SIGTERM ends the process within 2 s, all other files are whole and no process is left.
Exit code 3 if one of these fails. An Edge TPU that does not answer is given up after 2 s, during which frames wait.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.edge.hanging import CASES, Found, compiled, live

PAGE, STOP = 1.0, 2.0  # seconds


def judged(case: str, found: Found) -> list[str]:
    """The faults of a run, in words."""
    faults = list(found.faults)
    if found.page > PAGE:
        faults.append(f"the page took {found.page:.2f} s")
    if found.stop > STOP:
        faults.append(f"SIGTERM took {found.stop:.2f} s")
    if "camera" not in CASES[case] and found.frames < 10:
        faults.append(f"{found.frames} frames came")
    return faults


def main() -> int:
    """Run all rounds; print a line for each fault, and a table at the end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=5.0, help="time of the hang before the process is stopped")
    parser.add_argument("--only", choices=list(CASES))
    arguments = parser.parse_args()
    cases = [arguments.only] if arguments.only else list(CASES)
    all_found: dict[str, list[Found]] = {case: [] for case in cases}
    wrong = dict.fromkeys(cases, 0)
    with tempfile.TemporaryDirectory() as made:
        libraries = compiled(Path(made))
        for number in range(arguments.rounds):
            for case in cases:
                with tempfile.TemporaryDirectory() as folder:
                    found = live(case, Path(folder), libraries, arguments.seconds)
                all_found[case].append(found)
                if faults := judged(case, found):
                    wrong[case] += 1
                    print(f"round {number + 1}, {case}: {'; '.join(faults)}\n{found.said}", flush=True)
    print(f"{'what hangs':18} {'rounds':>6} {'page, s':>8} {'frames':>7} {'stop, s':>8} {'stop, s':>8}  wrong")
    print(f"{'':18} {'':6} {'most':>8} {'fewest':>7} {'median':>8} {'most':>8}")
    for case, runs in all_found.items():
        stops = sorted(found.stop for found in runs)
        print(
            f"{case:18} {len(runs):6} {max(found.page for found in runs):8.2f} {min(found.frames for found in runs):7} "
            f"{stops[len(stops) // 2]:8.2f} {stops[-1]:8.2f}  {wrong[case]}"
        )
    return 3 if any(wrong.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
