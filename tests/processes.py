"""The command line as a process of its own that Ctrl-C reaches wherever the tests run."""

import subprocess
import sys

# A shell starts background jobs with SIGINT ignored, which their children inherit; Python then leaves it so.
_START = (
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_module('quietcam', run_name='__main__', alter_sys=True)"
)


def start_quietcam(*words, **options):
    """A running ``quietcam`` whose standard error stream can be read as text."""
    command = [sys.executable, "-c", _START, *map(str, words)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options)
