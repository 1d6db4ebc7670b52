"""The spool's folder: whatever others put there, remove or replace, no frame is lost and all reports are true."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import tempfile
import threading
from pathlib import Path
from random import Random
from unittest import mock

import numpy as np

from edge.run.frame import Frame
from edge.sinks.spool.entries import allocated
from edge.sinks.spool.options import SpoolOptions
from edge.sinks.spool.sink import SpoolSink
from fuzz.failing import failing
from fuzz.litter import KINDS, PLAIN, dangling, file, folder, link_to_folder, nothing, pipe
from fuzz.trials import Trial, Trials
from quietcam.errors import StorageError, UsageError

__all__ = ["run"]

_STAMP = "2026-05-17T08-30-00.250Z"
_END = 9 * 10**9  # this number and higher ones are not the spool's


def run(trials: Trials) -> None:
    for trial in trials:
        with (
            tempfile.TemporaryDirectory() as place,
            mock.patch.object(os, "fsync"),  # there is no power cut here
            contextlib.redirect_stderr(io.StringIO()),
        ):
            before = len(list(Path("/proc/self/fd").iterdir()))
            game = _Game(trial, Path(place))
            game.together() if trial.number % 4 == 3 else game.in_turn()
            assert len(list(Path("/proc/self/fd").iterdir())) == before, "a descriptor is left"


class _Game:
    """A spool, and another user who may write into its folder and beside it.

    That user never changes entries of the spool, but may remove them as a whole.
    """

    def __init__(self, trial: Trial, place: Path) -> None:
        self._random, self._keep = trial.random, trial.keep
        self._steps: list[str] = []
        self._place, self._folder, self._victim = place, place / "spool", place / "victim"
        self._victim.mkdir()
        (self._victim / "mine").write_bytes(b"mine")
        self._theirs: dict[
            str, tuple[object, ...]
        ] = {}  # by name, files that are not the spool's and must stay unchanged
        self._stored: dict[str, int] = {}  # by content, the number of each stored frame that was not removed
        self._frames = self._wrote = self._evicted = 0
        self._in_order = True  # the disk never failed: the oldest are removed first
        self._spared = True  # nobody changed the budget
        self._alone = True  # nobody changes the folder now
        self._now = 1000.0
        self._twin = self._random.random() < 0.5
        self._entry = 3 * 4096 if self._twin else 4096
        room, daily = self._random.randrange(1, 8), self._random.choice((None, 10**7, 40, 5))
        self._options = SpoolOptions(
            self._folder, room * self._entry, daily and daily * self._entry, 1.0, twin=self._twin, format="png"
        )
        self._sink: SpoolSink | None = None

    def in_turn(self) -> None:
        """Take one step after another, and check everything after each."""
        moves = [self.begin] * 3 + [self.frames] * 6 + [self.end, self.kill, self.rival, self.fail, self.fail]
        moves += [self.make] * 6 + [self.fetch] * 3 + [self.replace]
        try:
            for _ in range(self._random.randrange(4, 40)):
                move = self._random.choice(moves)
                self._note(move.__name__)
                move()
                self._check()
            self._recover()
        finally:
            self.end()

    def together(self) -> None:
        """The other user removes and replaces while frames are stored; afterwards everything must be in order again."""
        done, random = threading.Event(), Random(self._random.random())

        def meddle() -> None:
            while not done.is_set():
                with contextlib.suppress(OSError):
                    if random.random() < 0.1:
                        self._folder.rename(self._place / f"was_{random.random()}")
                    elif random.random() < 0.05:
                        shutil.rmtree(self._folder)
                    else:
                        for path in list(self._folder.iterdir())[:2]:
                            path.rename(self._place / f"fetched_{random.random()}")

        meddling = threading.Thread(target=meddle)
        self.begin()
        self._alone = False
        meddling.start()
        try:
            for _ in range(40):
                if self._sink is not None:
                    self._store_one(self._sink)
                    self._sink.status({})
                if self._random.random() < 0.2:
                    self.end()
                    self.begin()
        finally:
            done.set()
            meddling.join()
        self._alone = True
        try:
            self._recover()
        finally:
            self.end()

    # Steps of the spool's owner.

    def begin(self) -> None:
        if self._sink is not None:
            return
        if self._folder.is_symlink() and self._folder.is_dir():  # at a start, this would be the owner's wish
            self._folder.unlink()
        sink, self._evicted = self._made(), 0
        with contextlib.suppress(StorageError):  # something else is in its place
            sink.open()
            self._sink = sink

    def frames(self) -> None:
        for _ in range(self._random.randrange(1, 4)):
            if self._sink is not None:
                self._store_one(self._sink)

    def fail(self) -> None:
        """Store a frame while the disk fails at random."""
        if self._sink is not None:
            self._in_order = False
            with failing(self._random):
                self._store_one(self._sink)

    def end(self) -> None:
        if self._sink is not None:
            stored = self._sink.stored
            with contextlib.suppress(StorageError):
                self._sink.close()
            self._acknowledge(self._sink.stored - stored)
            self._check()
            self._sink = None

    def kill(self) -> None:
        if self._sink is not None:
            self._sink._store.close()  # as the kernel does
            self._sink = None

    def rival(self) -> None:
        """Check that no other process can lock the folder while the spool reports that it stores frames."""
        if self._sink is None:
            return
        stored = self._sink.stored
        self._sink.status({})
        self._acknowledge(self._sink.stored - stored)
        if self._sink.waiting is None:
            rival = self._made()
            with contextlib.suppress(UsageError):
                rival.open()
                raise AssertionError("two have the folder")

    def _made(self) -> SpoolSink:
        return SpoolSink(self._options, (8, 8), lambda: self._now, lambda: 1.7e9 + self._now)

    def _store_one(self, sink: SpoolSink) -> None:
        self._now += self._random.choice((1.0, 1.0, 70.0))
        self._frames += 1
        image = np.full((8, 8, 3), self._frames, np.uint8)
        stored = sink.stored
        sink.write(Frame(image, self._now, self._frames), image)
        self._acknowledge(sink.stored - stored)

    def _acknowledge(self, more: int) -> None:
        """Note that this many frames were stored: the newest ones that are new in the folder."""
        if more and self._alone:
            self._wrote += more * self._entry
            for content, number in self._there().items():
                self._stored.setdefault(content, number)

    # Steps of the other user.

    def make(self) -> None:
        """Make a thing of any kind with any name."""
        random, number = (
            self._random,
            self._random.choice((7, 20, 8 * 10**9 - 1, 8 * 10**9, _END - 1, _END, 10**10 - 1)),
        )
        number = number if random.random() < 0.5 else random.randrange(30)
        name = random.choice((
            f"{number:010d}_{_STAMP}{random.choice(('', '.jpg', '.png', '_untouched.png', '.' + 'x' * 60))}",
            f"{number:010d}_{_STAMP}.png", f".new-{random.randrange(1 << 32):08x}",
            ".budget.json", f"..budget.{random.randrange(1 << 32):08x}.json", ".lock",
            "notes.txt", "٠٠٠٠٠٠٠٠٠١_1.png", "\udcff\n", "n" * 255,
        ))  # fmt: skip
        path, kind = self._folder / name, random.choice(KINDS)
        self._note(f"  {name!a} {kind.__name__}")
        if os.path.lexists(path) or not _is_folder(self._folder):
            return
        kind(path, self._victim, random)
        if "budget" in name:
            self._spared = False
        if not (name == ".budget.json" or (kind in PLAIN and _is_ours(name))):
            self._theirs[name] = _described(path)

    def fetch(self) -> None:
        """Take something away, whole."""
        names = _names(self._folder)
        if names:
            name = self._random.choice(names)
            self._note(f"  {name!a}")
            self._spared = self._spared and "budget" not in name
            self._theirs.pop(name, None)
            self._stored.pop(self._content(name), None)
            (self._folder / name).rename(self._place / f"fetched_{len(self._steps)}")

    def replace(self) -> None:
        """Take the folder away, and put something else in its place, or nothing."""
        with contextlib.suppress(FileNotFoundError):
            self._folder.rename(self._place / f"was_{len(self._steps)}")
        self._theirs.clear()
        self._stored.clear()
        self._spared = False
        kind = self._random.choice((nothing, folder, folder, file, link_to_folder, dangling, pipe))
        self._note(f"  {kind.__name__}")
        kind(self._folder, self._victim, self._random)

    # What must hold.

    def _check(self) -> None:
        if not self._alone:
            return
        assert [path.name for path in self._victim.iterdir()] == ["mine"], "a link was followed"
        assert (self._victim / "mine").read_bytes() == b"mine", "a link was followed"
        for name, described in self._theirs.items():
            assert _described(self._folder / name) == described, f"{name!a} is not as it was made"
        there = self._there()
        gone = [number for content, number in self._stored.items() if content not in there]
        if self._sink is None:
            assert not gone, f"frames {gone} went while nobody was there"
            return
        report = self._sink.report()
        assert len(gone) <= report["evicted"] - self._evicted, f"frames {gone} are lost"
        self._stored = {content: number for content, number in self._stored.items() if content in there}
        assert not (gone and self._in_order and max(gone) > min(self._stored.values(), default=max(gone)))
        self._evicted = report["evicted"]
        assert report["bytes"] <= self._options.size or report["stuck"], report
        if self._options.daily is not None and self._spared and self._wrote:
            count = sum(json.loads((self._folder / ".budget.json").read_bytes())["hours"])
            assert self._wrote <= min(count, self._options.daily), "more than the day's was written"

    def _recover(self) -> None:
        """The other user has stopped: within the longest pause frames are stored again, and are visible."""
        if not _is_folder(self._folder):
            self._folder.unlink(missing_ok=True)
        elif _is_folder(self._folder / ".budget.json"):
            shutil.rmtree(self._folder / ".budget.json")
        else:
            (self._folder / ".budget.json").unlink(missing_ok=True)
        self._spared = False
        self.begin()
        assert self._sink is not None, "it does not start"
        for _ in range(3):
            self._now += 26 * 3600.0
            self._sink.status({})
        assert self._sink.waiting is None, self._sink.waiting
        stored, before = self._sink.stored, self._there()
        self._store_one(self._sink)
        assert self._sink.stored == stored + 1, self._sink.report()
        assert len(self._there().keys() - before.keys()) == 1, "a frame that was stored cannot be seen"
        self._check()
        self.kill()
        self.begin()
        assert self._sink is not None, "it does not start again"
        assert self._sink.report()["bytes"] == self._counted(), "the account is not what is there"

    def _there(self) -> dict[str, int]:
        """The numbers of all visible frames, by content."""
        found = {}
        for name in _names(self._folder):
            content = self._content(name)
            if _is_entry(name) and content:
                found[content] = self._stored.get(content, self._frames)
        return found

    def _content(self, name: str) -> str:
        """The content that identifies a frame; empty if this is not a frame."""
        path = self._folder / name
        if not _is_entry(name) or path.is_symlink():
            return ""
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        if not all(each.is_file() and not each.is_symlink() for each in files):
            return ""
        content = [each.read_bytes() if each.stat().st_size < 10**4 else b"" for each in files]
        frame = bool(content) and all(each.startswith(b"\x89PNG") for each in content)
        assert not frame or len(files) == 1 + self._twin, "half a frame"
        return hashlib.sha256(b"".join(content)).hexdigest() if frame else ""

    def _counted(self) -> int:
        """Bytes of everything that counts as an entry."""
        total = 0
        for path in self._folder.iterdir():
            if _is_entry(path.name) and not path.is_symlink():
                inside = list(path.iterdir()) if path.is_dir() else [path]
                if all(each.is_file() and not each.is_symlink() for each in inside) and len(inside) <= 64:
                    total += allocated(
                        ({"": 0} if path.is_dir() else {}) | {each.name: each.stat().st_size for each in inside}
                    )
        return total

    def _note(self, step: str) -> None:
        self._steps.append(step)
        self._keep("steps", "\n".join(self._steps))


def _is_entry(name: str) -> bool:
    return name[:10].isascii() and name[:10].isdigit() and name[10:11] == "_" and int(name[:10]) < _END


def _is_ours(name: str) -> bool:
    return _is_entry(name) or name.startswith((".new-", "..budget"))


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _names(path: Path) -> list[str]:
    return sorted(each.name for each in path.iterdir()) if _is_folder(path) else []


def _described(path: Path) -> tuple[object, ...]:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return ()
    return found.st_ino, found.st_mode, found.st_size, _names(path)
