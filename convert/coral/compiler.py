"""Finds and runs the Edge TPU's compiler: with a time limit, and without leaving processes behind."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from convert.coral.log import parse_version
from quietcam.errors import MissingExtraError, ModelError, UsageError

__all__ = ["ENVIRONMENT", "INSTALL", "Compiler", "Run", "find_compiler", "require_compiler"]

ENVIRONMENT = "QUIETCAM_EDGETPU_COMPILER"
"""Environment variable that names the compiler: a path, or a whole command, such as one for a container."""

_NAME = "edgetpu_compiler"

INSTALL = (
    "curl -fsSL https://packages.cloud.google.com/apt/doc/apt-key.gpg | sudo gpg --dearmor -o "
    "/usr/share/keyrings/coral-edgetpu.gpg && echo 'deb [signed-by=/usr/share/keyrings/coral-edgetpu.gpg] "
    "https://packages.cloud.google.com/apt coral-edgetpu-stable main' | sudo tee "
    "/etc/apt/sources.list.d/coral-edgetpu.list && sudo apt-get update && sudo apt-get install edgetpu-compiler"
)
"""Command that installs it on Debian or Ubuntu for x86-64 (coral.ai, Edge TPU Compiler: read)."""

_FOLDER = "{folder}"
_VERSION_SECONDS = 60.0
_GRACE = 5.0  # seconds after the compiler's own limit until it is killed
_FIRST_WITH_TIMEOUT = 16  # older ones have no -t


@dataclass(frozen=True)
class Run:
    """One run of the compiler: exit status (negative for a signal), output, and whether it exceeded its time."""

    code: int
    said: str
    timed_out: bool


@dataclass(frozen=True)
class Compiler:
    """A command that compiles. In it ``{folder}`` stands for the model's folder."""

    command: tuple[str, ...]

    def version(self, folder: Path) -> str:
        """The compiler's version, such as ``16.0.384591198``.

        Raises:
            ModelError: it does not start, does not answer, or is not the compiler.
        """
        run = self._run(["--version"], folder, _VERSION_SECONDS)
        found = parse_version(run.said)
        if found is None:
            said = (run.said.strip().splitlines() or ["nothing"])[-1][:200]
            raise ModelError(
                "The Edge TPU's compiler must print its version. "
                f"Received: {shlex.join(self.command)} {'did not end' if run.timed_out else f'said: {said}'}. "
                f"Remedy: name another one with `compiler` or {ENVIRONMENT}."
            )
        return found

    def compile(self, folder: Path, model: str, version: str, seconds: float) -> Run:
        """Compile ``model``, a file name in ``folder``; the results are written to the same folder."""
        limit = ["-t", str(max(1, round(seconds)))] if int(version.split(".")[0]) >= _FIRST_WITH_TIMEOUT else []
        started = time.monotonic()
        run = self._run(["-s", *limit, "-o", ".", model], folder, seconds + _GRACE if limit else seconds)
        # It is unknown what the compiler prints when it ends at its own limit.
        late = run.code != 0 and time.monotonic() - started >= seconds
        return replace(run, timed_out=run.timed_out or late)

    def _run(self, arguments: Sequence[str], folder: Path, seconds: float) -> Run:
        command = [word.replace(_FOLDER, str(folder)) for word in self.command] + list(arguments)
        try:
            process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,  # its children end with it
            )
        except OSError as error:
            raise ModelError(
                f"The Edge TPU's compiler must start. Received: {shlex.join(command)}: {error.strerror}. "
                f"Remedy: name another one with `compiler` or {ENVIRONMENT}."
            ) from error
        try:
            said, _ = process.communicate(timeout=seconds)
            return Run(process.returncode, said, False)
        except subprocess.TimeoutExpired:
            _end(process)
            said, _ = process.communicate()
            return Run(process.returncode, said, True)
        except BaseException:
            _end(process)
            process.wait()
            raise


def find_compiler(wanted: str | None, environment: Mapping[str, str] | None = None) -> Compiler | None:
    """The requested compiler, or the one on PATH, or None.

    Args:
        wanted: a path, or a whole command, such as
            ``docker run --rm -v {folder}:/work -w /work edgetpu edgetpu_compiler``.
        environment: the environment that gives PATH. Defaults to that of the process.

    Raises:
        UsageError: the requested compiler does not exist.
    """
    path = (os.environ if environment is None else environment).get("PATH", "")
    if wanted:
        words = [wanted] if Path(wanted).exists() else _words(wanted)
        found = shutil.which(words[0], path=path)
        if found is None:
            raise UsageError(
                f"`compiler` or {ENVIRONMENT} names the Edge TPU's compiler: a program, or a whole command. "
                f"Received: {wanted}, whose program {words[0]} was not found. Remedy: {_where_to_get_it()}."
            )
        return Compiler((str(Path(found).resolve()), *words[1:]))
    found = shutil.which(_NAME, path=path)
    return None if found is None else Compiler((found,))


def _where_to_get_it() -> str:
    """How to get the compiler, as the end of a sentence."""
    here = platform.machine()
    if here.lower() not in ("x86_64", "amd64"):
        return (
            f"it runs on x86-64 only, and this is {here}: compile on such a machine and copy the _edgetpu.tflite here"
        )
    return f"on Debian or Ubuntu for x86-64: {INSTALL}"


def require_compiler(wanted: str | None) -> Compiler:
    """As ``find_compiler``.

    Raises:
        UsageError: the requested compiler does not exist.
        MissingExtraError: none was requested, and there is none on PATH.
    """
    found = find_compiler(wanted)
    if found is None:
        raise MissingExtraError(
            f"This command needs Google's edgetpu_compiler. Received: none on PATH, none in {ENVIRONMENT}. "
            f"Remedy: {_where_to_get_it()}"
        )
    return found


def _words(text: str) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"`compiler` is a command. Received: {text}: {error}. Remedy: close the quotes.") from None
    if not words:
        raise UsageError(
            "`compiler` names the Edge TPU's compiler. Received: only blanks. Remedy: a path or a command."
        )
    return words


def _end(process: subprocess.Popen[str]) -> None:
    """End a process and all its children."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.kill()
