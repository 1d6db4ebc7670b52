"""What C and C++ libraries print on the standard error stream: dropped, shown after a failure, or read for warnings.

While a block below runs, descriptor 2, which all threads share, leads into a file in memory
(:mod:`quietcam.process.native_log`). In our command line it does so from the first such block to the end of the command
(:func:`command_stderr`), and lines that no block takes are shown a few times a second. No thread ever waits for another
one that is inside native code.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import sys
import threading
from collections.abc import Callable, Iterator

from quietcam.process.crash_output import CrashOutput
from quietcam.process.error_stream import ErrorStream, LineWriter
from quietcam.process.native_log import NativeLog
from quietcam.process.stopping import process
from quietcam.terminal.printable import printable
from quietcam.terminal.secrets import shown

__all__ = [
    "command_stderr",
    "divert_native_output",
    "native_lines_read",
    "native_output_caught",
    "parent_reads_output",
    "stderr_for_children",
    "stderr_for_native_code",
    "write_line",
]

_FORWARD_SECONDS = 0.2
_PIECE = 1 << 14  # bytes that are passed on at once
_LAST_SECONDS = 1.0  # for a slow reader at the end


class _State:
    """State of the process: how many blocks redirect descriptor 2, and where the original error stream is."""

    def __init__(self) -> None:
        self.lock = threading.Lock()  # never held during a native call or a write to the original error stream
        self.blocks = 0
        self.original: int | None = None
        """Descriptor of the original error stream while descriptor 2 is redirected."""
        self.place: int | None = None
        """The descriptor that ``original`` has each time. It is never closed: code that still uses its number must not
        write into another file.
        """
        self.log: NativeLog | None = None
        self.crash: CrashOutput | None = None
        self.writer: LineWriter | None = None
        """Writes the error stream of our command line."""
        self.ending = threading.Event()
        self.parent = False
        """A parent process reads descriptor 2, so it is not redirected."""


_state = _State()
_inside = threading.local()


@contextlib.contextmanager
def native_output_caught(*, show: bool = True) -> Iterator[None]:
    """Catch what C and C++ libraries write to the standard error stream; show it only if the block fails.

    Several threads may be inside such blocks at once. If the block succeeds, all native output of that time is dropped,
    also of libraries in other threads. In our command line, what Python code in other threads writes is always shown.

    Args:
        show: False where the caller explains a failure itself. In debug mode (environment variable ``QUIETCAM_DEBUG``)
            the output is always shown, also that of a block that succeeds.
    """
    debug = bool(os.environ.get("QUIETCAM_DEBUG"))
    failed = False
    with _redirected() as log:
        part = log.begin() if log is not None else None
        _inside.depth = getattr(_inside, "depth", 0) + 1
        try:
            yield
        except Exception:
            failed = True
            raise
        finally:
            _flush()
            _inside.depth -= 1
            if log is not None and part is not None:
                if (failed and show) or debug:
                    _show(log.take(part))
                else:
                    log.drop(part)


@contextlib.contextmanager
def native_lines_read(ours: Callable[[str], bool]) -> Iterator[list[str]]:
    """Read lines that C and C++ libraries write to the standard error stream: some warnings are given in no other way.

    Other lines are shown as usual. If two threads are inside such blocks at once, both get the lines of both; a caller
    that must know which thread a line belongs to lets one thread in at a time.

    Args:
        ours: whether the caller takes a line.

    Yields:
        A list. It holds these lines once the block has ended.
    """
    lines: list[str] = []
    with _redirected() as log:
        part = log.begin() if log is not None else None
        try:
            yield lines
        finally:
            _flush()
            if log is not None and part is not None:
                lines += log.read_lines(part, ours)


def write_line(line: str) -> None:
    """Write one line to the original error stream, also while native output is caught."""
    stream, original = sys.stderr, _state.original
    if isinstance(stream, ErrorStream):
        stream.say(line)
    elif stream is not None and original is not None and stream is sys.__stderr__:
        with contextlib.suppress(OSError):
            os.write(original, f"{line}\n".encode(errors="backslashreplace"))
    elif stream is not None:
        print(line, file=stream, flush=True)


def stderr_for_children() -> int:
    """The descriptor that a child process gets as its error stream: the original one."""
    if _state.writer is not None:
        return _state.writer.descriptor
    return 2 if _state.original is None else _state.original


def stderr_for_native_code() -> int:
    """The descriptor of an error stream that stays valid until the process ends, for native code to write to."""
    return 2 if _state.writer is not None else stderr_for_children()


def parent_reads_output() -> None:
    """From now on catch nothing: a parent process reads all that this process prints, up to a crash."""
    _state.parent = True


@contextlib.contextmanager
def command_stderr() -> Iterator[None]:
    """Replace the error stream while a command runs: writes wait for no slow reader; control characters are escaped.

    For the main thread of a process that runs nothing but our command line.
    """
    _open_standard_streams()
    before = sys.stderr
    writer = LineWriter(fcntl.fcntl(2, fcntl.F_DUPFD_CLOEXEC, 10))
    stream = ErrorStream(writer, getattr(before, "encoding", None) or "utf-8", divert=_divert)
    sys.stderr, _state.writer = stream, writer
    try:
        yield
    finally:
        stream.flush()
        _leave_command(writer)
        sys.stderr = before


def divert_native_output() -> None:
    """In our command line, redirect descriptor 2 now, and not only from the first block on.

    So a camera's library never waits for a slow reader either. In other processes it does nothing.
    """
    if _state.writer is not None:
        with _redirected():
            pass


@contextlib.contextmanager
def _redirected() -> Iterator[NativeLog | None]:
    """Redirect descriptor 2 into the file while any block runs. None if it cannot be: closed, or read by a parent."""
    _flush()
    log = _begin()
    try:
        yield log
    finally:
        if log is not None:
            _end(log)


def _begin() -> NativeLog | None:
    state, first, command = _state, False, False
    with state.lock:
        if state.parent:
            return None
        if state.original is None:
            try:
                original = state.writer.descriptor if state.writer else _place()
            except OSError:
                return None
            first, command = state.log is None, state.writer is not None
            state.log = state.log or NativeLog()
            os.dup2(state.log.file, 2)
            state.original = original
            state.blocks += command  # until the command ends
        state.blocks += 1
        log, original = state.log, state.original
    if first and log is not None:  # without the lock: it starts a process
        _show_crashes(state, log, original)
    if command:
        _begin_command(2 if state.crash and state.crash.waits else original)
    return log


def _show_crashes(state: _State, log: NativeLog, original: int) -> None:
    state.crash = CrashOutput(log.file, original)
    atexit.register(state.crash.end)
    if state is not _state:  # the command has ended meanwhile
        state.crash.end()


def _place() -> int:
    """A copy of descriptor 2, always under the same number."""
    if _state.place is None:
        _state.place = fcntl.fcntl(2, fcntl.F_DUPFD_CLOEXEC, 10)
        return _state.place
    return os.dup2(2, _state.place, inheritable=False)


def _end(log: NativeLog) -> None:
    original, crash = None, _state.crash
    if crash is not None:
        crash.shown_up_to(log.position)
    with _state.lock:
        if _state.log is not log:  # the command that the block belonged to has ended
            return
        _state.blocks -= 1
        if _state.blocks == 0 and _state.original is not None:
            original, _state.original = _state.original, None
            os.dup2(original, 2)
    if original is not None:
        rest, missed = log.rest(last=True)
        if crash is not None:
            crash.shown_up_to(log.position)
        with contextlib.suppress(OSError):
            _write(original, _clean(rest, missed))


def _begin_command(faults: int) -> None:
    import faulthandler

    # Into the file, which never blocks, if there is a shell that outlives this process and shows it.
    faulthandler.enable(file=faults, all_threads=False)
    threading.Thread(target=_forward, name="native-output", daemon=True).start()


def _leave_command(writer: LineWriter) -> None:
    """Show what is left in the file, also of blocks that hang, and restore descriptor 2."""
    global _state
    with _state.lock:
        old, _state = _state, _State()
    old.ending.set()
    if old.original is not None and old.log is not None:
        import faulthandler

        faulthandler.disable()
        os.dup2(writer.descriptor, 2)
        _write_lines(writer, *old.log.rest(last=True))
        if old.crash is not None:
            old.crash.end()
    writer.flush(process.seconds_left(_LAST_SECONDS))


def _forward() -> None:
    """Thread: show what no block takes."""
    state = _state
    writer, log = state.writer, state.log
    if writer is None or log is None:
        return
    while not state.ending.wait(_FORWARD_SECONDS):
        _write_lines(writer, *log.rest())
        if state.crash is not None:
            state.crash.shown_up_to(log.position)


def _show(words: bytes) -> None:
    """Show what native code wrote in a block that failed."""
    writer, original = _state.writer, _state.original
    if writer is not None:
        _write_lines(writer, words)
    elif original is not None:
        with contextlib.suppress(OSError):
            _write(original, _clean(words))


def _write_lines(writer: LineWriter, words: bytes, missed: int = 0) -> None:
    for line in _pieces(_clean(words, missed)):
        writer.put(line)


def _pieces(words: bytes) -> Iterator[bytes]:
    while words:
        end = words.rfind(b"\n", 0, _PIECE) + 1 or _PIECE
        yield words[:end]
        words = words[end:]


def _clean(words: bytes, missed: int = 0) -> bytes:
    """Native output as it may be shown: printable, and without secrets."""
    text = words.decode(errors="surrogateescape").replace("\r\n", "\n").replace("\r", "\n")
    if missed:
        text = f"quietcam: {missed} bytes of what libraries print are left out here, since they were too many\n{text}"
    return shown(printable(text, lines=True)).encode()


def _write(descriptor: int, words: bytes) -> None:
    rest = memoryview(words)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _divert() -> Callable[[bytes], object] | None:
    """Where Python code writes to while its thread is inside a block that catches native output."""
    if getattr(_inside, "depth", 0) and _state.original is not None:
        return lambda words: os.write(2, words)
    return None


def _flush() -> None:
    if sys.stderr is not None:
        with contextlib.suppress(ValueError, OSError):
            sys.stderr.flush()


def _open_standard_streams() -> None:
    """Open descriptors 0, 1 and 2 if they are closed: else the next file that is opened would get native output."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
            os.set_inheritable(descriptor, True)


def _forked() -> None:
    """In a forked child: it has the parent's memory, but neither its threads nor its crash output."""
    global _state
    old, _state = _state, _State()
    if old.crash is not None:
        old.crash.forget()
    if old.original is not None:
        os.dup2(old.original, 2)
    if old.writer is not None:
        old.writer.forked()
        _state.writer = old.writer


os.register_at_fork(after_in_child=_forked)
