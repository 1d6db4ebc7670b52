"""Frames of any size through a model of one size, by a share that harms no clean frame."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from edge.child.trial import Trial
from edge.models import describe, resize_command
from edge.network import gil_window
from edge.network.engine import Engine
from edge.network.frame_denoiser import FrameDenoiser
from edge.network.harm import HIGH, LOW, HarmGate, blend, check_strength
from edge.network.interpreter import Interpreter
from edge.network.modelfile import ModelFile
from edge.network.tiles import Tiles, grid_of
from edge.network.treatment import Treated, Treatment
from edge.network.variants import ModelVariants, load_variants
from quietcam.errors import ModelError, UsageError
from quietcam.image import Image, check_image, to_rgb
from quietcam.terminal.log import log
from quietcam.tiling import TileGrid

__all__ = ["Denoiser"]

_CLEAN = "it is clean"
_TRIALS = 3  # of one model: frames may change their size meanwhile


class Denoiser(FrameDenoiser):
    """A model, ready for frames. The memory for a frame size is taken at its first frame and kept.

    A frame that fits into the model goes through it at once, mirrored at its right and lower edge where it is
    smaller; a larger one goes in overlapping tiles.

    Args:
        model: a model file, or its path; or the variants of :func:`edge.network.variants.load_variants`.
        threads: as for :class:`edge.network.interpreter.Interpreter`.
        overlap: what neighbouring tiles share, in pixels. Defaults to what the model's receptive field asks
            for, up to a quarter of a tile.
        device: ``cpu``, ``usb[:N]``, ``pci[:N]``, or several with commas between them, which share the tiles.
        strength: the network's share in what is shown, 0 to 1. Can be set while frames run.
        gate: let the network in only as far as a frame is noisy (:class:`edge.network.harm.HarmGate`).
        stream: frames come from one camera; the gate then moves smoothly from one to the next. Otherwise each
            picture is judged alone.

    Example:
        >>> with Denoiser("demo_256x256_int8.tflite") as denoiser:
        ...     denoised = denoiser.denoise(noisy)
    """

    def __init__(
        self,
        model: ModelVariants | ModelFile | Path | str,
        threads: int | None = None,
        overlap: int | None = None,
        *,
        device: str = "cpu",
        strength: float = 1.0,
        gate: bool = False,
        stream: bool = False,
    ) -> None:
        self._strength = check_strength(strength)
        self._threads, self._asked_overlap, self._device = threads, overlap, device
        self._gated, self._stream = gate, stream
        self._lock = threading.Lock()
        self._reloading = threading.Lock()
        self._trial = Trial()
        self._closed = False
        self._seen: tuple[int, int, int] | None = None  # the shape of the last frame
        self._engine = Engine(model, device, threads)
        self._gate = self._make_gate(self._engine.model)
        self._warn()
        self._tiles: dict[tuple[int, int], Tiles] = {}
        self._halves: tuple[Image, Image] | None = None

    @property
    def model(self) -> ModelFile:
        """The one that runs; another after ``reload``."""
        return self._engine.model

    @property
    def interpreter(self) -> Interpreter:
        """One that works now, to time its ``invoke``."""
        return self._engine.interpreter

    @property
    def runtime(self) -> str:
        """Name and version of the runtime that the networks run on."""
        return self._engine.runtime

    @property
    def threads(self) -> int:
        """Of the CPU's kernels."""
        return self._engine.threads

    @property
    def strength(self) -> float:
        """The network's share in what is shown, 0 to 1; setting it holds from the next frame on."""
        return self._strength

    @strength.setter
    def strength(self, strength: float) -> None:
        self._strength = check_strength(strength)

    @property
    def noise_sigma(self) -> float | None:
        """The last frame's noise in steps of 255, as the gate estimated it; None without a gate or a frame."""
        return None if self._gate is None else self._gate.sigma

    @property
    def device_state(self) -> dict[str, Any]:
        """Which device was wanted and which is used: :attr:`edge.network.engine.Engine.state`."""
        return self._engine.state

    def report(self) -> dict[str, Any]:
        """``device``: :attr:`device_state`."""
        return {"device": self.device_state}

    def denoise(self, noisy: Image, out: Image | None = None) -> Image:
        """The denoised frame: uint8 ``(H, W, C)``, in ``out`` where that has its shape (a reload may change it).

        A grayscale frame goes through an RGB model as three equal channels and comes out as RGB. An RGB frame
        goes through a grayscale model channel by channel. Where every device is lost and nothing is left to run
        on, the frame comes back as it is.

        Raises:
            DataError: ``noisy`` is not uint8 ``(H, W, 3)`` or ``(H, W, 1)``.
            ModelError: the model fails.
        """
        return self.treat(noisy, out).image

    def treat(self, noisy: Image, out: Image | None = None, half: bool = False) -> Treated:
        """As ``denoise``, and what was done.

        Args:
            half: let the network see the frame at half its width and height: a quarter of the work. What it takes
                away is judged, and blended, at the frame's own size.
        """
        check_image(noisy, "A frame")
        with self._lock:
            height, width, channels = noisy.shape
            self._seen = height, width, channels
            if self.model.channels == 3:
                noisy = to_rgb(noisy)
            if out is None or out.shape != noisy.shape:
                out = np.empty(noisy.shape, np.uint8)
            return Treated(out, self._treat(noisy, out, half))

    def resume(self, after: FrameDenoiser | None = None) -> None:
        """The next frame does not follow the last one: it follows that of the denoiser ``after``, whose gate this one's
        goes on from; or frames were left out, and the gate judges afresh.
        """
        with self._lock:
            other = after._gate if isinstance(after, Denoiser) else None
            if self._gate is not None and other is not None:
                self._gate.follow(other)
            elif self._gate is not None:
                self._gate.resume()

    def reload(self, model: ModelFile | Path | str) -> None:
        """Take another model between two frames, after it ran a frame like the last one in a process of its own
        (:mod:`edge.child.trial`). The present one runs until then. May be called from another thread while frames run.

        Raises:
            ModelError: it cannot be used, and the present one goes on; or this was closed meanwhile.
        """
        try:
            with self._reloading, gil_window.background_work():
                self._take(*self._make_ready(load_variants(model, self._device)))
        except UsageError as error:
            raise ModelError(str(error)) from error
        self._warn()

    def _make_ready(self, variants: ModelVariants) -> tuple[Engine, HarmGate | None, dict[tuple[int, int], Tiles]]:
        """All that frames need, so that none of them waits for it."""
        model = variants.shown
        gate = self._make_gate(model)
        for _ in range(_TRIALS):
            shape = self._seen or (model.height, model.width, model.channels)
            if variants.cpu is not None:
                self._trial.of(variants.cpu, shape, self.threads, self._asked_overlap)
            if self._seen in (None, shape):
                break
        engine = Engine(variants, self._device, self._threads)
        try:
            tiles = {size: self._cut(model, size) for size in {shape[:2], *self._tiles} if not _fits(model, size)}
            if variants.tpu is not None:  # it has a process of its own
                noisy = np.zeros((*shape[:2], model.channels), np.uint8)
                if not _run(engine, tiles.get(shape[:2]), noisy, np.empty_like(noisy)):
                    raise ModelError(f"No device runs {model.path}. Received: {engine.state['reason']}.")
        except BaseException:
            engine.close()
            raise
        return engine, gate, tiles

    def _take(self, engine: Engine, gate: HarmGate | None, tiles: dict[tuple[int, int], Tiles]) -> None:
        with self._lock:
            closed = self._closed
            if not closed:
                engine, self._engine = self._engine, engine
                if gate is not None and self._gate is not None:
                    gate.follow(self._gate)  # or each change of the model would be seen as a flash of noise
                self._gate, self._tiles = gate, tiles
        gil_window.wait_for_invoke()
        engine.close()
        if closed:
            raise ModelError("A denoiser that is closed takes no other model.")

    def _warn(self) -> None:
        """Say what was found wrong with the model when it was converted."""
        for finding in describe(self.model)["findings"] or ():
            log.warning(f"{self.model.name} was found unfit when it was converted: {finding}")

    def tiles(self, height: int, width: int) -> int:
        """How often the network runs for one channel group of a frame of this size."""
        return len(grid_of(self.model, height, width, self._asked_overlap))

    def close(self) -> None:
        """Give the model's memory and the devices back. May be called twice."""
        self._trial.stop()
        with self._lock:
            self._closed = True
            self._engine.close()
            self._tiles = {}

    def __enter__(self) -> Denoiser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _treat(self, noisy: Image, out: Image, half: bool) -> Treatment:
        strength, gate = self._strength, self._gate
        if strength == 0.0:
            np.copyto(out, noisy)
            return Treatment(strength=strength, why="the strength is 0")
        closed = gate is not None and not gate.look(noisy)
        sigma = None if gate is None else gate.sigma
        if closed or not (self._half(noisy, out) if half else self._network(noisy, out)):
            np.copyto(out, noisy)
            why = _CLEAN if closed else "no device runs the network"
            return Treatment(gate=0.0 if closed else 1.0, strength=strength, sigma=sigma, why=why)
        share = 1.0 if gate is None else gate.weigh(noisy, out)
        blend(noisy, out, strength * share)
        return Treatment(
            model=self._engine.running,
            size="half" if half else "whole",
            gate=share,
            strength=strength,
            sigma=sigma,
            why=None if share else _CLEAN,
        )

    def _network(self, noisy: Image, out: Image, half: bool = False) -> bool:
        """All of the network's picture into ``out``; False where nothing can run it."""
        channels = self.model.channels
        return all(
            self._run(noisy[..., first : first + channels], out[..., first : first + channels], half)
            for first in range(0, noisy.shape[2], channels)
        )

    def _half(self, noisy: Image, out: Image) -> bool:
        """The same at half the size, enlarged again."""
        import cv2

        height, width, channels = noisy.shape
        shape = (height + 1) // 2, (width + 1) // 2, channels
        if self._halves is None or self._halves[0].shape != shape:
            self._halves = np.empty(shape, np.uint8), np.empty(shape, np.uint8)
        small, quiet = self._halves
        cv2.resize(noisy, (shape[1], shape[0]), dst=small, interpolation=cv2.INTER_AREA)
        if not self._network(small, quiet, half=True):
            return False
        cv2.resize(quiet, (width, height), dst=out, interpolation=cv2.INTER_LINEAR)
        return True

    def _run(self, noisy: Image, out: Image, half: bool) -> bool:
        size = noisy.shape[:2]
        tiles = self._tiles.get(size)
        if tiles is None and not _fits(self.model, size):
            if len(self._tiles) > 1:  # the frames' own size, and half of it
                self._tiles = {}
            tiles = self._tiles[size] = self._cut(self.model, size, advise=not half)
        return _run(self._engine, tiles, noisy, out)

    def _cut(self, model: ModelFile, size: tuple[int, int], advise: bool = False) -> Tiles:
        tiles = Tiles(grid_of(model, *size, self._asked_overlap), model.channels)
        if self._stream and advise and (advice := _advice(model, tiles.grid)):
            log.info(advice)
        return tiles

    def _make_gate(self, model: ModelFile) -> HarmGate | None:
        if not self._gated:
            return None
        levels = (model.manifest.gate if model.manifest else None) or {}
        try:
            return HarmGate(self._stream, float(levels.get("low", LOW)), float(levels.get("high", HIGH)))
        except (TypeError, ValueError) as error:
            raise ModelError(
                f"A manifest's gate holds two noise levels, low and high. Received: {model.path}: gate={levels}. "
                "Remedy: convert the model again with `quietcam convert`."
            ) from error


def _fits(model: ModelFile, size: tuple[int, int]) -> bool:
    """Whether a frame of this size goes through the model at once."""
    return size[0] <= model.height and size[1] <= model.width


def _run(engine: Engine, tiles: Tiles | None, noisy: Image, out: Image) -> bool:
    if tiles is None:
        return engine.run(1, lambda _: noisy, lambda _, interpreter: interpreter.get(out))
    return tiles.run(engine, noisy, out)


def _advice(model: ModelFile, grid: TileGrid) -> str | None:
    width, height = (-(-side // grid.stride) * grid.stride for side in (grid.width, grid.height))
    command = resize_command(model, width, height)
    return command and (
        f"{model.name} takes a frame of {grid.width}x{grid.height} in {len(grid)} tiles; "
        f"`{command}` makes one that takes it whole, and faster"
    )
