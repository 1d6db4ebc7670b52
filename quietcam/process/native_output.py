"""Native libraries' chatter: kept from the reader, or heard. Nobody waits for a thread that sits in native code.

While a block below runs, descriptor 2, which all threads share, leads into a file in memory
(:mod:`quietcam.process.native_log`); in a command of ours it does so from the first such block to the command's end
(:func:`command_stderr`), and what no block claims is passed on a few times a second.
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
_LAST_SECONDS = 1.0  # for a reader who is slow when all else has ended


class _State:
    """Of the process: who holds descriptor 2 away from the reader, and where the reader is."""

    def __init__(self) -> None:
        self.lock = threading.Lock()  # never held across a native call, nor where somebody reads what is written
        self.blocks = 0
        self.reader: int | None = None
        """The error stream itself while descriptor 2 is turned away."""
        self.place: int | None = None
        """The reader's descriptor each time, never closed: whoever still holds its number writes into no other file."""
        self.words: NativeLog | None = None
        self.last: CrashOutput | None = None
        self.voice: LineWriter | None = None
        """Of a command."""
        self.ending = threading.Event()
        self.parent = False
        """A parent reads descriptor 2 and shows nobody what comes, so it stays where it is."""


_state = _State()
_inside = threading.local()


@contextlib.contextmanager
def native_output_caught(*, show: bool = True) -> Iterator[None]:
    """Catch what C and C++ libraries write to the standard error stream; show it only if the block fails.

    Several threads may be inside at once. What is written meanwhile is dropped if the block succeeds, also what a
    library in another thread writes; what Python's threads write is not theirs to drop in a command of ours.

    Args:
        show: False where the caller tells of a failure in words of its own; `quietcam --debug` shows all the same,
            also of what succeeds.
    """
    debug = bool(os.environ.get("QUIETCAM_DEBUG"))
    failed = False
    with _turned_away() as words:
        part = words.begin() if words is not None else None
        _inside.depth = getattr(_inside, "depth", 0) + 1
        try:
            yield
        except Exception:
            failed = True
            raise
        finally:
            _flush()
            _inside.depth -= 1
            if words is not None and part is not None:
                if (failed and show) or debug:
                    _show(words.take(part))
                else:
                    words.drop(part)


@contextlib.contextmanager
def native_lines_read(ours: Callable[[str], bool]) -> Iterator[list[str]]:
    """Hear what C and C++ libraries write to the standard error stream: for warnings that they give in no other way.

    What others write meanwhile reaches the reader. Where two threads listen at once, each hears what both of their
    libraries say: who must know whose words they are lets one thread in at a time.

    Args:
        ours: whether a line is meant for the caller.

    Yields:
        The list that has these lines once the block has ended.
    """
    heard: list[str] = []
    with _turned_away() as words:
        part = words.begin() if words is not None else None
        try:
            yield heard
        finally:
            _flush()
            if words is not None and part is not None:
                heard += words.hear(part, ours)


def write_line(line: str) -> None:
    """One line on the error stream, past whatever is caught at the time."""
    stream, reader = sys.stderr, _state.reader
    if isinstance(stream, ErrorStream):
        stream.say(line)
    elif stream is not None and reader is not None and stream is sys.__stderr__:
        with contextlib.suppress(OSError):
            os.write(reader, f"{line}\n".encode(errors="backslashreplace"))
    elif stream is not None:
        print(line, file=stream, flush=True)


def stderr_for_children() -> int:
    """The descriptor that a child process gets as its error stream: the reader's own."""
    if _state.voice is not None:
        return _state.voice.descriptor
    return 2 if _state.reader is None else _state.reader


def stderr_for_native_code() -> int:
    """The descriptor of an error stream that lasts as long as this process, for native code to write to."""
    return 2 if _state.voice is not None else stderr_for_children()


def parent_reads_output() -> None:
    """Tell that a parent takes all that this process prints, its last words too: nothing is caught from now on."""
    _state.parent = True


@contextlib.contextmanager
def command_stderr() -> Iterator[None]:
    """Give the error stream to a command of ours for its life: it waits for no reader, and no reader is shown what acts
    on a terminal. For the main thread of a process that nobody else uses.
    """
    _open_standard_streams()
    before = sys.stderr
    voice = LineWriter(fcntl.fcntl(2, fcntl.F_DUPFD_CLOEXEC, 10))
    stream = ErrorStream(voice, getattr(before, "encoding", None) or "utf-8", divert=_divert)
    sys.stderr, _state.voice = stream, voice
    try:
        yield
    finally:
        stream.flush()
        _leave_command(voice)
        sys.stderr = before


def divert_native_output() -> None:
    """Keep from now on what native code prints in a command of ours, else only from its first block on: so that a
    camera's library, too, never waits for a reader. Elsewhere it does nothing.
    """
    if _state.voice is not None:
        with _turned_away():
            pass


@contextlib.contextmanager
def _turned_away() -> Iterator[NativeLog | None]:
    """Lead descriptor 2 into the file while any block runs. None where it stays: closed, or a parent's."""
    _flush()
    words = _begin()
    try:
        yield words
    finally:
        if words is not None:
            _end(words)


def _begin() -> NativeLog | None:
    with _state.lock:
        if _state.parent:
            return None
        if _state.reader is None:
            command = _state.voice is not None
            try:
                reader = _state.voice.descriptor if _state.voice else _place()
            except OSError:
                return None
            if _state.words is None:
                _state.words = NativeLog()
                _state.last = CrashOutput(_state.words.file, reader)
                atexit.register(_state.last.end)
            os.dup2(_state.words.file, 2)
            _state.reader = reader
            if command:
                _state.blocks += 1  # that of the command itself
                _begin_command(2 if _state.last and _state.last.waits else reader)
        _state.blocks += 1
        return _state.words


def _place() -> int:
    """Descriptor 2, once more."""
    if _state.place is None:
        _state.place = fcntl.fcntl(2, fcntl.F_DUPFD_CLOEXEC, 10)
        return _state.place
    return os.dup2(2, _state.place, inheritable=False)


def _end(words: NativeLog) -> None:
    reader, last = None, _state.last
    if last is not None:
        last.passed(words.position)
    with _state.lock:
        if _state.words is not words:  # the command that the block belonged to has ended
            return
        _state.blocks -= 1
        if _state.blocks == 0 and _state.reader is not None:
            reader, _state.reader = _state.reader, None
            os.dup2(reader, 2)
    if reader is not None:
        rest, missed = words.rest(last=True)
        if last is not None:
            last.passed(words.position)
        with contextlib.suppress(OSError):
            _write(reader, _clean(rest, missed))


def _begin_command(faults: int) -> None:
    import faulthandler

    # Into the file, where no reader can hold it up, if there is a shell that outlives us to show it.
    faulthandler.enable(file=faults, all_threads=False)
    threading.Thread(target=_forward, name="native-output", daemon=True).start()


def _leave_command(voice: LineWriter) -> None:
    """Whatever hangs in a block is left behind: what it said is shown."""
    global _state
    with _state.lock:
        old, _state = _state, _State()
    old.ending.set()
    if old.reader is not None and old.words is not None and old.last is not None:
        import faulthandler

        faulthandler.disable()
        os.dup2(voice.descriptor, 2)
        _tell(voice, *old.words.rest(last=True))
        old.last.end()
    voice.flush(process.seconds_left(_LAST_SECONDS))


def _forward() -> None:
    """Pass on what nobody claims."""
    voice, words, last, ending = _state.voice, _state.words, _state.last, _state.ending
    if voice is None or words is None or last is None:
        return
    while not ending.wait(_FORWARD_SECONDS):
        _tell(voice, *words.rest())
        last.passed(words.position)


def _show(words: bytes) -> None:
    """What a block said before it failed."""
    voice, reader = _state.voice, _state.reader
    if voice is not None:
        _tell(voice, words)
    elif reader is not None:
        with contextlib.suppress(OSError):
            _write(reader, _clean(words))


def _tell(voice: LineWriter, words: bytes, missed: int = 0) -> None:
    for line in _pieces(_clean(words, missed)):
        voice.put(line)


def _pieces(words: bytes) -> Iterator[bytes]:
    while words:
        end = words.rfind(b"\n", 0, _PIECE) + 1 or _PIECE
        yield words[:end]
        words = words[end:]


def _clean(words: bytes, missed: int = 0) -> bytes:
    """What libraries said, as it may be shown."""
    text = words.decode(errors="surrogateescape").replace("\r\n", "\n").replace("\r", "\n")
    if missed:
        text = f"quietcam: {missed} bytes of what libraries print are left out here, since they were too many\n{text}"
    return shown(printable(text, lines=True)).encode()


def _write(descriptor: int, words: bytes) -> None:
    rest = memoryview(words)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _divert() -> Callable[[bytes], object] | None:
    """Where a thread's own words go while it is inside a block that catches them."""
    if getattr(_inside, "depth", 0) and _state.reader is not None:
        return lambda words: os.write(2, words)
    return None


def _flush() -> None:
    if sys.stderr is not None:
        with contextlib.suppress(ValueError, OSError):
            sys.stderr.flush()


def _open_standard_streams() -> None:
    """See that 0, 1 and 2 are taken: else the next file that is opened would be, and take what libraries print."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest that is free, which is this one
            os.set_inheritable(descriptor, True)


def _forked() -> None:
    """A child by fork has the memory, and neither the threads nor a part in the last words."""
    global _state
    old, _state = _state, _State()
    if old.last is not None:
        old.last.forget()
    if old.reader is not None:
        os.dup2(old.reader, 2)
    if old.voice is not None:
        old.voice.forked()
        _state.voice = old.voice


os.register_at_fork(after_in_child=_forked)
