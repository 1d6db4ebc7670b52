"""LadderDenoiser: does less work per frame while the device is too hot or frames come late."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from edge.network.frame_denoiser import FrameDenoiser, Plan
from edge.network.runtime import gil_window
from edge.network.treatment import Rung, Treated, Treatment
from edge.run.degrade.ladder import Ladder, LadderRules
from edge.run.degrade.temperature import Thermometer, hot_by_default
from quietcam.errors import UsageError, one_line
from quietcam.image import Image
from quietcam.process.stopping import process
from quietcam.terminal.log import log

__all__ = ["LadderDenoiser", "LadderOptions", "ScalableDenoiser", "open_ladder"]

_TICK = 1.0  # seconds
_GRACE = 0.5  # seconds that the opening of a smaller model may still take at the end
_PASSED = Treatment(Rung.PASS_THROUGH, why="the ladder lets frames pass unchanged")


class ScalableDenoiser(FrameDenoiser, Protocol):
    """The part of :class:`edge.network.denoiser.Denoiser` that the ladder needs.

    Attributes:
        strength: the network's share in what is shown, 0 to 1.
    """

    strength: float

    def treat(self, noisy: Image, out: Image | None = None, half: bool = False) -> Treated:
        """With ``half``, the network sees the frame at half its width and height."""

    def resume(self, after: FrameDenoiser | None = None) -> None:
        """Note that the next frame follows the last one of ``after``; None: it follows none."""

    def close(self) -> None:
        """Free all memory and devices. May be called twice."""


@dataclass(frozen=True)
class LadderOptions:
    """When the ladder reduces work, and its smaller model.

    Attributes:
        hot: °C from which on the device is too hot. The default depends on the kind of processor.
        deadline: seconds from the sensor until a frame is denoised; a later frame is late. 0: no frame is ever late.
        smaller: a smaller model; None: the same model gets frames of half the size.
        threads, device, gate, history: options of the smaller model, as for :class:`edge.network.denoiser.Denoiser`.

    Raises:
        UsageError: a temperature outside 30 to 120 °C, or a negative deadline.
    """

    hot: float | None = None
    deadline: float = 0.5
    smaller: Path | None = None
    threads: int | None = None
    device: str = "cpu"
    gate: bool = False
    history: bool = True

    def __post_init__(self) -> None:
        if self.hot is not None and not 30.0 <= self.hot <= 120.0:
            raise UsageError(
                f"The temperature `hot` of a processor is 30 to 120 °C. Received: {self.hot:g}. Remedy: `hot=80`"
            )
        if not self.deadline >= 0.0:
            raise UsageError(
                "The time `deadline` is in milliseconds, or 0 for none. "
                f"Received: {self.deadline * 1000:g}. Remedy: `deadline=500`"
            )


class LadderDenoiser(FrameDenoiser):
    """Wraps a denoiser and treats each frame as the ladder's rung says. A frame that a sink keeps as a picture gets
    full treatment.

    Args:
        denoiser: treats frames at full or at half size.
        ladder: decides which rung to use.
        thermometer: measures the temperature; the caller starts it.
        deadline: seconds from the sensor until a frame is denoised; a later one is late. None: no frame is ever late.
        smaller: opens a smaller model for frames of a shape ``(H, W, C)``. Called at the first rung that needs it, in a
            thread of its own. Until it is loaded, or if it fails or is None: frames of half the size.
        wall: unix seconds, for display only.
    """

    def __init__(
        self,
        denoiser: ScalableDenoiser,
        ladder: Ladder,
        thermometer: Thermometer,
        deadline: float | None = None,
        smaller: Callable[[tuple[int, ...]], ScalableDenoiser] | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._denoiser = denoiser
        self._ladder = ladder
        self._thermometer = thermometer
        self._deadline = deadline
        self._smaller = smaller
        self._opened: ScalableDenoiser | None = None
        self._opening = threading.Thread()  # replaced by the thread that opens the smaller model
        self._lock = threading.Lock()
        self._closed = False
        self._refused: str | None = None  # why there is no smaller model
        self._wall = wall
        self._since = wall()
        self._ticked = float("-inf")
        self._seen = self._late = 0
        self._odd = False
        self._last: ScalableDenoiser | None = None  # the denoiser of the last frame
        self._coming: tuple[float, int] | None = None

    def coming(self, taken: float, opened: int = 0) -> None:
        self._coming = taken, opened

    def plan(self, now: float) -> Plan:
        self._tick(now)
        rung = self._ladder.rung
        if rung is Rung.PASS_THROUGH:
            self._last = None
            return Plan(rung, passes=_PASSED)
        if rung is Rung.EVERY_SECOND:
            self._odd = not self._odd
            return Plan(rung, left_out=not self._odd)
        return Plan(rung)

    def idle(self, now: float) -> None:
        self._denoiser.idle(now)
        self._tick(now)

    def treat(self, noisy: Image, out: Image | None = None) -> Treated:
        rung = self._ladder.rung
        denoiser, half = self._choose(rung, noisy.shape)
        image, treatment = self._after_the_last(denoiser).treat(noisy, out, half)
        return Treated(image, treatment if rung is Rung.FULL else replace(treatment, step=rung))

    def treat_whole(self, noisy: Image, out: Image | None = None) -> Treated:
        return self._after_the_last(self._denoiser).treat(noisy, out)

    def done(self, age: float | None) -> None:
        self._denoiser.done(age)
        if age is not None:
            self._seen += 1
            self._late += self._deadline is not None and age > self._deadline

    def end(self) -> None:
        self._denoiser.end()

    def report(self) -> dict[str, Any]:
        """``ladder`` as ``Ladder.report``, with ``since``, the time at which the rung changed (seconds since 1970), and
        ``smaller_error``: why frames have half the size instead of going through the smaller model, or None.
        """
        ladder = {**self._ladder.report(), "since": self._since, "smaller_error": self._refused}
        return {**self._denoiser.report(), "ladder": ladder}

    def close(self) -> None:
        """Close the smaller model; one that is still being opened is closed as soon as it is open."""
        with self._lock:
            self._closed = True
            opened, self._opened, self._smaller = self._opened, None, None
        if opened is not None:
            opened.close()
        process.wait([self._opening], _GRACE)

    def _tick(self, now: float) -> None:
        """Check temperature and lateness, about once a second, and log changes. Between these checks it is quick."""
        if now - self._ticked < _TICK:
            return
        self._ticked = now
        late = self._late / self._seen if self._seen else None
        self._seen = self._late = 0
        if self._ladder.update(now, self._thermometer.celsius(), self._thermometer.throttled(), late):
            self._since = self._wall()
            reason = self._ladder.reason
            log.info("Work per frame is now: %s%s", self._ladder.rung.value, f" ({reason})" if reason else "")

    def _after_the_last(self, denoiser: ScalableDenoiser) -> ScalableDenoiser:
        if denoiser is not self._last:
            denoiser.resume(self._last)
            self._last = denoiser
        if self._coming is not None:
            denoiser.coming(*self._coming)
        return denoiser

    def _choose(self, rung: Rung, shape: tuple[int, ...]) -> tuple[ScalableDenoiser, bool]:
        """The denoiser for a frame of ``shape`` ``(H, W, C)``, and whether it treats the frame at half its size."""
        if rung is Rung.FULL:
            return self._denoiser, False
        if self._opened is None:
            if self._smaller is not None and self._opening.ident is None:
                self._opening = threading.Thread(
                    target=self._open, args=(self._smaller, shape), name="quietcam-smaller", daemon=True
                )
                self._opening.start()
            return self._denoiser, True
        self._opened.strength = self._denoiser.strength
        return self._opened, False

    def _open(self, smaller: Callable[[tuple[int, ...]], ScalableDenoiser], shape: tuple[int, ...]) -> None:
        try:
            with gil_window.background_work():
                opened = smaller(shape)
        except Exception as error:  # noqa: BLE001  whatever is wrong with it, half the size remains
            self._refused = one_line(error)
            if not self._closed:
                log.warning(
                    "The smaller model does not start, so frames of half the size are denoised: %s", one_line(error)
                )
            return
        with self._lock:
            closed = self._closed
            if not closed:
                self._opened = opened
        if closed:
            opened.close()


@contextlib.contextmanager
def open_ladder(
    denoiser: ScalableDenoiser, options: LadderOptions, thermometer: Thermometer
) -> Iterator[LadderDenoiser]:
    """``denoiser`` with a ladder for this machine; the smaller model is closed at the end.

    Raises:
        UsageError: the smaller model does not exist.
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
    rungs = [rung for rung in Rung if rung is not (Rung.HALF_SIZE if path is not None else Rung.SMALLER)]
    smaller: Callable[[tuple[int, ...]], ScalableDenoiser] | None = None
    trial = Trial()
    if path is not None:
        wanted = load_variants(path, options.device)  # a model that cannot be used is refused now, not under heat

        def smaller(shape: tuple[int, ...]) -> ScalableDenoiser:
            if wanted.cpu is not None:
                trial.of(wanted.cpu, shape, check_threads(options.threads))
            return Denoiser(
                wanted,
                options.threads,
                device=options.device,
                gate=options.gate,
                stream=True,
                history=options.history,
            )

    laddered = LadderDenoiser(denoiser, Ladder(rungs, rules), thermometer, options.deadline or None, smaller)
    try:
        yield laddered
    finally:
        trial.stop()
        laddered.close()
