"""Degrader: what each step of the ladder does to the work, and the measuring that feeds the ladder."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from edge.network import gil_window
from edge.network.treatment import Rung, Treated
from edge.run.ladder import Ladder, LadderRules
from edge.run.temperature import Thermometer, hot_by_default
from quietcam.errors import UsageError, one_line
from quietcam.image import Image
from quietcam.process.stopping import process
from quietcam.terminal.progress import say

__all__ = ["DegradeOptions", "Degrader", "Denoises", "make_degrader"]

_TICK = 1.0  # seconds
_GRACE = 0.5  # seconds that a smaller model which is being opened may take at the end


class Denoises(Protocol):
    """What the pipeline and the ladder ask of :class:`edge.network.denoiser.Denoiser`."""

    strength: float

    def treat(self, noisy: Image, out: Image | None = None, half: bool = False) -> Treated:
        """In ``out``, unless what comes out has another shape."""

    def resume(self, after: object = None) -> None:
        """The next frame does not follow the last one, but that of ``after``, or none."""

    def close(self) -> None:
        """Give all back. May be called twice."""


@dataclass(frozen=True)
class DegradeOptions:
    """What a user says of it.

    Attributes:
        hot: °C from which on the device is too hot; None: as this kind of processor has it.
        deadline: seconds from the sensor until a frame is denoised; 0: there is none.
        smaller: a smaller model; None: the same one gets frames of half the size.
        threads, device, gate: of the smaller model, as for :class:`edge.network.denoiser.Denoiser`.

    Raises:
        UsageError: a temperature or a deadline that cannot be meant.
    """

    hot: float | None = None
    deadline: float = 0.5
    smaller: Path | None = None
    threads: int | None = None
    device: str = "cpu"
    gate: bool = False

    def __post_init__(self) -> None:
        if self.hot is not None and not 30.0 <= self.hot <= 120.0:
            raise UsageError(f"--hot is a temperature of a processor, 30 to 120 °C. Received: {self.hot:g}.")
        if not self.deadline >= 0.0:
            raise UsageError(f"--deadline is in ms, or 0 for none. Received: {self.deadline * 1000:g}.")


class Degrader:
    """Feeds a ladder and carries out its steps. All but ``report`` is for the network's thread.

    Args:
        ladder: decides.
        thermometer: measures, once the pipeline has started it.
        deadline: seconds from the sensor until a frame is denoised; a later one is late. None: none ever is.
        smaller: opens a smaller model for frames of a shape ``(H, W, C)``. Called at the first step that needs it, in a
            thread of its own. Until it is there, or where that fails or is None: frames of half the size.
        wall: unix seconds. Only shown, never reckoned with.
    """

    def __init__(
        self,
        ladder: Ladder,
        thermometer: Thermometer,
        deadline: float | None = None,
        smaller: Callable[[tuple[int, ...]], Denoises] | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._ladder = ladder
        self.thermometer = thermometer
        self._deadline = deadline
        self._smaller = smaller
        self._opened: Denoises | None = None
        self._opening = threading.Thread()  # replaced by the one that opens it
        self._lock = threading.Lock()
        self._closed = False
        self._refused: str | None = None  # why there is no smaller model
        self._wall = wall
        self._since = wall()
        self._ticked = float("-inf")
        self._seen = self._late = 0
        self._odd = False

    def tick(self, now: float) -> None:
        """Look at heat and lateness, about once a second; say what changed. Quick otherwise."""
        if now - self._ticked < _TICK:
            return
        self._ticked = now
        late = self._late / self._seen if self._seen else None
        self._seen = self._late = 0
        if self._ladder.update(now, self.thermometer.celsius(), self.thermometer.throttled(), late):
            self._since = self._wall()
            reason = self._ladder.reason
            say(f"Work per frame is now: {self._ladder.step.value}" + (f" ({reason})" if reason else ""))

    def saw(self, age: float) -> None:
        """A frame was denoised ``age`` seconds after the sensor took it."""
        self._seen += 1
        self._late += self._deadline is not None and age > self._deadline

    def leaves_out(self) -> bool:
        """Whether the next frame is not worked on at all."""
        if self._ladder.step is not Rung.EVERY_SECOND:
            return False
        self._odd = not self._odd
        return not self._odd

    @property
    def step(self) -> Rung:
        """The step taken now."""
        return self._ladder.step

    def choose(self, denoiser: Denoises, step: Rung, shape: tuple[int, ...]) -> tuple[Denoises, bool]:
        """What works on a frame of ``shape`` ``(H, W, C)`` at ``step`` in the place of ``denoiser``, with its strength,
        and whether on half its size; for all steps but pass-through.
        """
        if step is Rung.FULL:
            return denoiser, False
        if self._opened is None:
            if self._smaller is not None and self._opening.ident is None:
                self._opening = threading.Thread(
                    target=self._open, args=(self._smaller, shape), name="quietcam-smaller", daemon=True
                )
                self._opening.start()
            return denoiser, True
        self._opened.strength = denoiser.strength
        return self._opened, False

    def close(self) -> None:
        """Close the smaller model; one that is still being opened is closed as soon as it is there."""
        with self._lock:
            self._closed = True
            opened, self._opened, self._smaller = self._opened, None, None
        if opened is not None:
            opened.close()
        process.wait([self._opening], _GRACE)

    def _open(self, smaller: Callable[[tuple[int, ...]], Denoises], shape: tuple[int, ...]) -> None:
        try:
            with gil_window.background_work():
                opened = smaller(shape)
        except Exception as error:  # noqa: BLE001  whatever is wrong with it, there is something to go on with
            self._refused = one_line(error)
            if not self._closed:
                say(f"The smaller model does not start, so frames of half the size are denoised: {error}")
            return
        with self._lock:
            closed = self._closed
            if not closed:
                self._opened = opened
        if closed:
            opened.close()

    def report(self) -> dict[str, Any]:
        """As ``Ladder.report``; the step is taken ``since`` then (seconds since 1970); ``smaller_error``: why frames
        have half the size instead of going through the smaller model, or None.
        """
        return {**self._ladder.report(), "since": self._since, "smaller_error": self._refused}


@contextlib.contextmanager
def make_degrader(options: DegradeOptions) -> Iterator[Degrader]:
    """A degrader for this machine; the smaller model is closed behind it.

    Raises:
        UsageError: there is no such smaller model.
        ModelError: it cannot be used.
    """
    from edge.child.trial import Trial
    from edge.network.denoiser import Denoiser
    from edge.network.interpreter import check_threads
    from edge.network.variants import load_variants

    hot = hot_by_default() if options.hot is None else options.hot
    rules = LadderRules()
    rules = replace(rules, hot=hot, cool=hot - (rules.hot - rules.cool))
    path = options.smaller
    steps = [step for step in Rung if step is not (Rung.HALF_SIZE if path is not None else Rung.SMALLER)]
    smaller: Callable[[tuple[int, ...]], Denoises] | None = None
    trial = Trial()
    if path is not None:
        wanted = load_variants(path, options.device)  # said now, not in the heat of the day

        def smaller(shape: tuple[int, ...]) -> Denoises:
            if wanted.cpu is not None:
                trial.of(wanted.cpu, shape, check_threads(options.threads))
            return Denoiser(wanted, options.threads, device=options.device, gate=options.gate, stream=True)

    degrader = Degrader(Ladder(steps, rules), Thermometer(), options.deadline or None, smaller)
    try:
        yield degrader
    finally:
        trial.stop()
        degrader.close()
