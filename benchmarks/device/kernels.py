"""Speed of int8 on a processor with fewer instructions than this one: each kind of kernel, one after another.

    python -m benchmarks.device.kernels [--threads 1] [--peer nafnet_rgb_small.tflite] [--csv FILE]

XNNPACK asks the processor for its instructions (by CPUID) and chooses its kernels by the answer. This script
copies the installed LiteRT, replaces each CPUID in the copy with a trap, and answers the trap without
the features that are to be hidden. So a processor with AVX512-VNNI runs the same kernels as one that has only AVX2.
What stays different is the processor around them: caches, clock, how many instructions it starts at a time.

All models take turns in one process for each kind. Needs x86-64, a C compiler and objdump (Debian: gcc, binutils).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.records import PEER_MODEL, RESULTS, ROOT, append, commit, machine

CPUID, TRAP = b"\x0f\xa2", b"\x0f\x0b"
RUNS, WARM_UP = 60, 3

# Bits of CPUID leaf 7: EBX and ECX of subleaf 0, EAX of subleaf 1 (Intel, "Software Developer's Manual", volume 2A).
AVX512 = sum(1 << bit for bit in (16, 17, 21, 28, 30, 31)), sum(1 << bit for bit in (1, 6, 11, 12, 14)), 1 << 4 | 1 << 5
VNNI = 0, 1 << 11, 1 << 4
HIDDEN = {"AVX512 with VNNI": (0, 0, 0), "AVX512 without VNNI": VNNI, "AVX2 without VNNI": AVX512}

HANDLER = r"""
#define _GNU_SOURCE
#include <cpuid.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <ucontext.h>

static uint32_t hidden_ebx, hidden_ecx, hidden_eax1;

static void answer(int number, siginfo_t *info, void *context) {
  greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  const uint8_t *code = (const uint8_t *)registers[REG_RIP];
  uint32_t leaf = registers[REG_RAX], subleaf = registers[REG_RCX], a, b, c, d;
  (void)info;
  if (code[0] != 0x0f || code[1] != 0x0b) {
    signal(number, SIG_DFL);
    return;
  }
  __cpuid_count(leaf, subleaf, a, b, c, d);
  if (leaf == 7 && subleaf == 0) { b &= ~hidden_ebx; c &= ~hidden_ecx; }
  if (leaf == 7 && subleaf == 1) a &= ~hidden_eax1;
  registers[REG_RAX] = a; registers[REG_RBX] = b; registers[REG_RCX] = c; registers[REG_RDX] = d;
  registers[REG_RIP] += 2;
}

__attribute__((constructor)) static void install(void) {
  struct sigaction action = {0};
  hidden_ebx = strtoul(getenv("HIDDEN_EBX"), 0, 10);
  hidden_ecx = strtoul(getenv("HIDDEN_ECX"), 0, 10);
  hidden_eax1 = strtoul(getenv("HIDDEN_EAX1"), 0, 10);
  action.sa_sigaction = answer;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGILL, &action, 0);
}
"""


def main() -> int:
    """Prepare the copy, measure each kind, print and append."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--peer", type=Path, default=PEER_MODEL)
    parser.add_argument("--csv", type=Path, default=RESULTS / "kernels.csv")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.threads, options.peer)))
        return 0

    from edge.network.runtime.instructions import instructions_here

    if instructions_here().name != next(iter(HIDDEN)):
        raise SystemExit(f"This script hides what a processor has. Received: one with {instructions_here().name}.")
    with tempfile.TemporaryDirectory() as folder:
        copy, handler = prepare(Path(folder))
        for kind, (ebx, ecx, eax1) in HIDDEN.items():
            hidden = {"HIDDEN_EBX": str(ebx), "HIDDEN_ECX": str(ecx), "HIDDEN_EAX1": str(eax1)}
            words = [sys.executable, "-m", "benchmarks.device.kernels", "--measure", str(copy)]
            done = subprocess.run(
                [*words, "--threads", str(options.threads), "--peer", str(options.peer)],
                cwd=ROOT,
                env=os.environ | hidden | {"LD_PRELOAD": str(handler)},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise SystemExit(f"{kind}: {done.stderr}")
            times = json.loads(done.stdout.splitlines()[-1])
            print(f"{kind}, threads: {options.threads}")
            for name, ms in times.items():
                print(f"  {name:24} {ms:8.2f} ms" + (f"  x {times['peer'] / ms:.1f}" if "peer" in times else ""))
            told = {"instructions": kind, "threads": options.threads}
            for name, ms in times.items():
                faster = round(times["peer"] / ms, 1) if "peer" in times else ""
                row = {"model": name, "ms": ms, "times_as_fast_as_the_peer": faster}
                append(options.csv, told | row | {"machine": machine(), "commit": commit()})
    return 0


def prepare(folder: Path) -> tuple[Path, Path]:
    """A copy of LiteRT in ``folder`` in which CPUID traps, and the library that answers."""
    import ai_edge_litert

    package = Path(ai_edge_litert.__file__).parent
    copy = folder / "site" / package.name
    shutil.copytree(package, copy)
    library = copy / "libpywrap_litert_common.so"
    listed = subprocess.run(["objdump", "-h", library], capture_output=True, text=True, check=True).stdout
    text = next(line.split() for line in listed.splitlines() if line.split()[1:2] == [".text"])
    shift = int(text[5], 16) - int(text[3], 16)
    code = subprocess.run(["objdump", "-d", library], capture_output=True, text=True, check=True).stdout
    content = bytearray(library.read_bytes())
    for found in re.finditer(r"^\s*([0-9a-f]+):\s+0f a2\s+cpuid", code, re.MULTILINE):
        place = int(found[1], 16) + shift
        assert content[place : place + 2] == CPUID
        content[place : place + 2] = TRAP
    library.write_bytes(content)
    handler = folder / "handler.so"
    words = ["cc", "-O1", "-shared", "-fPIC", "-x", "c", "-o", str(handler), "-"]
    subprocess.run(words, input=HANDLER, text=True, check=True)
    return copy.parent, handler


def measure(site: Path, threads: int, peer: Path) -> dict[str, float]:
    """Median ms of one 256x256 frame of every model that ships and of the peer, all in turns."""
    sys.path.insert(0, str(site))
    from ai_edge_litert.interpreter import Interpreter

    ships = sorted((ROOT / "edge" / "models").glob("*_256x256_*.tflite"))
    files = {path.stem.replace("_256x256", ""): path for path in ships if not path.stem.startswith("demo")}
    if peer.exists():
        files["peer"] = peer
    subjects = {name: Interpreter(str(path), num_threads=threads) for name, path in files.items()}
    taken: dict[str, list[float]] = {name: [] for name in subjects}
    for subject in subjects.values():
        subject.allocate_tensors()
        for _ in range(WARM_UP):
            subject.invoke()
    for _ in range(RUNS):
        for name, subject in subjects.items():
            start = time.perf_counter()
            subject.invoke()
            taken[name].append(time.perf_counter() - start)
    return {name: round(1000 * statistics.median(seconds), 2) for name, seconds in taken.items()}


if __name__ == "__main__":
    sys.exit(main())
