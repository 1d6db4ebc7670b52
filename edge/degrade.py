"""Degrader: what each step of the ladder does to the work, and the measuring that feeds the ladder."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edge.buffers import BufferPool
from edge.heat import Heat, hot_by_default
from edge.ladder import Ladder, LadderRules, Step
from quietcam.errors import QuietcamError, UsageError
from quietcam.image import Image
from quietcam.progress import say

__all__ = ["DegradeOptions", "Degrader", "Work", "make_degrader"]

Work = Callable[[Image, Image | None], Image]
"""As ``Denoiser.denoise``: the denoised frame, in the second where given."""

_TICK = 1.0  # seconds


@dataclass(frozen=True)
class DegradeOptions:
    """What a user says of it.

    Attributes:
        hot: °C from which on the device is too hot; None: as this kind of processor has it.
        deadline: seconds from the sensor until a frame is denoised; 0: there is none.
        smaller: a smaller model; None: the same one gets frames of half the size.
        threads, device, gate: of the smaller model, as for :class:`edge.denoiser.Denoiser`.
        strength: asked before each frame that the smaller model gets.

    Raises:
        UsageError: a temperature or a deadline that cannot be meant.
    """

    hot: float | None = None
    deadline: float = 0.5
    smaller: Path | None = None
    threads: int | None = None
    device: str = "cpu"
    gate: bool = False
    strength: Callable[[], float] = lambda: 1.0

    def __post_init__(self) -> None:
        if self.hot is not None and not 30.0 <= self.hot <= 120.0:
            raise UsageError(f"--hot is a temperature of a processor, 30 to 120 °C. Received: {self.hot:g}.")
        if not self.deadline >= 0.0:
            raise UsageError(f"--deadline is in ms, or 0 for none. Received: {self.deadline * 1000:g}.")


class Degrader:
    """Feeds a ladder and carries out its steps. All but ``report`` and ``temperature`` are for the network's thread.

    Args:
        ladder: decides.
        heat: measures.
        deadline: seconds from the sensor until a frame is denoised; a later one is late. None: none ever is.
        smaller: opens a smaller model, at the first step that needs it; None, or where that fails: frames of half the
            size.
    """

    def __init__(
        self,
        ladder: Ladder,
        heat: Heat,
        deadline: float | None = None,
        smaller: Callable[[], Work] | None = None,
    ) -> None:
        self._ladder = ladder
        self._heat = heat
        self._deadline = deadline
        self._smaller = smaller
        self._opened: Work | None = None
        self._ticked = float("-inf")
        self._seen = self._late = 0
        self._odd = False
        self._pool = BufferPool()

    def tick(self, now: float) -> None:
        """Look at heat and lateness, about once a second; say what changed. Quick otherwise."""
        if now - self._ticked < _TICK:
            return
        self._ticked = now
        late = self._late / self._seen if self._seen else None
        self._seen = self._late = 0
        if self._ladder.update(now, self._heat.temperature(), self._heat.throttled(), late):
            reason = self._ladder.reason
            say(f"Work per frame is now: {self._ladder.step.value}" + (f" ({reason})" if reason else ""))

    def saw(self, age: float) -> None:
        """A frame was denoised ``age`` seconds after the sensor took it."""
        self._seen += 1
        self._late += self._deadline is not None and age > self._deadline

    def leaves_out(self) -> bool:
        """Whether the next frame is not worked on at all."""
        if self._ladder.step is not Step.EVERY_SECOND:
            return False
        self._odd = not self._odd
        return not self._odd

    @property
    def step(self) -> Step:
        """The step taken now."""
        return self._ladder.step

    def choose(self, denoise: Work) -> Work:
        """What works on the next frame instead of ``denoise``, where it does not pass as it is."""
        if self._ladder.step is Step.FULL:
            return denoise
        if self._opened is None and self._smaller is not None:
            try:
                self._opened = self._smaller()
            except QuietcamError as error:
                self._smaller = None
                say(f"The smaller model does not start, so frames of half the size are denoised: {error}")
        return self._opened or (lambda noisy, out: self._half(denoise, noisy, out))

    def report(self) -> dict[str, Any]:
        """As ``Ladder.report``."""
        return self._ladder.report()

    def temperature(self) -> float | None:
        """°C; None where it is not known."""
        return self._heat.temperature()

    def _half(self, denoise: Work, noisy: Image, out: Image | None) -> Image:
        """A quarter of the pixels: the frame at half its size, denoised and enlarged again."""
        import cv2

        height, width = noisy.shape[:2]
        small = self._pool.take(((height + 1) // 2, (width + 1) // 2, noisy.shape[2]))
        cv2.resize(noisy, (small.shape[1], small.shape[0]), dst=small, interpolation=cv2.INTER_AREA)
        quiet = denoise(small, None)
        shape = (height, width, quiet.shape[2])
        if out is None or out.shape != shape:
            out = np.empty(shape, np.uint8)
        cv2.resize(quiet, (width, height), dst=out, interpolation=cv2.INTER_LINEAR)
        self._pool.give(small)
        return out


@contextlib.contextmanager
def make_degrader(options: DegradeOptions) -> Iterator[Degrader]:
    """A degrader for this machine; the smaller model is closed behind it.

    Raises:
        UsageError: there is no such smaller model.
        ModelError: it cannot be used.
    """
    from edge.denoiser import Denoiser
    from edge.modelfile import load_model

    hot = hot_by_default() if options.hot is None else options.hot
    rules = LadderRules()
    rules = replace(rules, hot=hot, cool=hot - (rules.hot - rules.cool))
    path = options.smaller
    steps = [step for step in Step if step is not (Step.HALF_SIZE if path is not None else Step.SMALLER)]
    with contextlib.ExitStack() as stack:
        smaller: Callable[[], Work] | None = None
        if path is not None:
            wanted = load_model(path)  # said now, not in the heat of the day

            def smaller() -> Work:
                denoiser = stack.enter_context(
                    Denoiser(wanted, options.threads, device=options.device, gate=options.gate, stream=True)
                )

                def work(noisy: Image, out: Image | None) -> Image:
                    denoiser.strength = options.strength()
                    return denoiser.denoise(noisy, out)

                return work

        yield Degrader(Ladder(steps, rules), Heat(), options.deadline or None, smaller)
