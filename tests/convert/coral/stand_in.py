"""A stand-in for Google's edgetpu_compiler. It compiles nothing: it prints logs of the documented form.

What it prints follows logs in google-coral/edgetpu's issues; the model that it writes holds one custom operator whose
program is made up. STAND_IN says how it behaves: good, split, streaming, version, crash, killed, hang, nothing, silent,
dynamic, large, unknown.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

VERSION = "Edge TPU Compiler version 16.0.384591198"
NOT_ALL = (
    "\nModel successfully compiled but not all operations are supported by the Edge TPU. A percentage of the model "
    "will instead run on the CPU, which is slower.\nNumber of operations that will run on Edge TPU: {}\n"
    "Number of operations that will run on CPU: {}\n"
)


def main() -> int:
    manner = os.environ.get("STAND_IN", "good")
    if manner == "unknown":
        print("usage: something else")
        return 2
    print(VERSION, flush=True)
    if "--version" in sys.argv:
        return 0
    model = Path(sys.argv[-1])
    assert "-s" in sys.argv
    assert sys.argv[sys.argv.index("-o") + 1] == "."
    assert b"quietcam.json" not in model.read_bytes(), "the manifest was left on the model"
    print(f"Started a compilation timeout timer of {sys.argv[sys.argv.index('-t') + 1]} seconds.", flush=True)
    if manner == "hang":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path(os.environ["STAND_IN_PID"]).write_text(str(child.pid))
        time.sleep(600)
    if manner == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    failures = {
        "version": "ERROR: Didn't find op for builtin opcode 'CONV_2D' version '6'. An older version of this builtin "
        "might be supported. Are you using an old TFLite binary with a newer model?\n\nERROR: Registration failed.\n\n"
        f"Invalid model: {model}\nModel could not be parsed",
        "crash": "Internal compiler error. Aborting!",
        "dynamic": "ERROR: Attempting to use a delegate that only supports static-sized tensors with a graph that has "
        "dynamic-sized tensors.\nCompilation failed: Model failed in Tflite interpreter. Please ensure model can be "
        "loaded/run in Tflite interpreter.\nCompilation child process completed within timeout period.\n"
        "Compilation failed! ",
        "large": "Compilation failed: Compilation failed due to large activation tensors in model.\n"
        "Compilation failed! ",
        "silent": "Compilation child process completed within timeout period.\nCompilation failed! ",
    }
    if manner in failures:
        print(failures[manner])
        return 1
    if manner == "nothing":
        return 0
    return _succeed(model, manner)


def _succeed(model: Path, manner: str) -> int:
    target = model.with_name(f"{model.stem}_edgetpu.tflite")
    target.write_bytes(Path(os.environ["STAND_IN_RESULT"]).read_bytes())
    rows = os.environ["STAND_IN_ROWS"]
    streamed = "1.70MiB" if manner == "streaming" else "0.00B"
    log = target.with_suffix(".log")
    table = "\nOperator                       Count      Status\n\n" + rows
    log.write_text(f"{VERSION}\nInput: {model.name}\nOutput: {target.name}\n{table}")
    print(
        f"\nModel compiled successfully in 141 ms.\n\nInput model: {model.name}\nInput size: 5.75KiB\n"
        f"Output model: ./{target.name}\nOutput size: 116.78KiB\n"
        "On-chip memory used for caching model parameters: 60.00KiB\n"
        "On-chip memory remaining for caching model parameters: 7.96MiB\n"
        f"Off-chip memory used for streaming uncached model parameters: {streamed}\n"
        f"Number of Edge TPU subgraphs: 1\nTotal number of operations: 3\nOperation log: ./{log.name}"
    )
    if manner == "split":
        print(NOT_ALL.format(1, 2))
    print(table)
    print("Compilation child process completed within timeout period.\nCompilation succeeded! ")
    return 0


if __name__ == "__main__":
    sys.exit(main())
