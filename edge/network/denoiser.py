"""The denoiser: puts frames of any size through a model of one size, and blends the result as the gate decides."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from edge.child.trial import Trial
from edge.models import describe
from edge.network.engine import Engine
from edge.network.frame_denoiser import FrameDenoiser
from edge.network.frame_network import FrameNetwork
from edge.network.gate.harm import HIGH, LOW, HarmGate, blend, check_strength
from edge.network.interpreter import Interpreter
from edge.network.modelfile import ModelFile
from edge.network.past.past import Forgot, Past
from edge.network.runtime import gil_window
from edge.network.tiles import grid_of
from edge.network.treatment import Treated, Treatment
from edge.network.variants import ModelVariants, load_variants
from quietcam.errors import ModelError, UsageError
from quietcam.image import Image, check_image, to_rgb
from quietcam.process.turn import Turn
from quietcam.terminal.log import log

__all__ = ["Denoiser"]

_CLEAN = "it is clean"
_TAKES_NONE = "A closed denoiser takes no other model."
_TRIALS = 3  # of one model: the frames may change their size meanwhile


class Denoiser(FrameDenoiser):
    """Denoises frames of any size with one model.

    A frame that fits into the model goes through it whole; if it is smaller, it is mirrored at its right and lower
    edge. A larger frame goes through in overlapping tiles. Memory for a frame size is allocated at its first frame.

    Args:
        model: the name of a model that ships, as ``small``; or a path, a :class:`edge.network.modelfile.ModelFile`, or
            variants from :func:`edge.network.variants.load_variants`. ``quietcam models`` lists the models that ship.
        threads: of the CPU's kernels, 1 to 256. Defaults to one per core, up to 4.
        overlap: pixels that neighboring tiles share. Defaults to what the model's receptive field needs, up to a
            quarter of a tile.
        device: ``cpu``, ``usb[:N]``, ``pci[:N]``, or several of them with commas, which share the tiles.
        strength: the network's share in the result, 0 to 1. It can be changed between frames.
        gate: use the do-no-harm gate (:class:`edge.network.gate.harm.HarmGate`): the cleaner a frame is, the less of
            the network it gets. Defaults to all of the network for every frame.
        stream: the frames come from one camera, one after another, so the gate moves smoothly between them, and a video
            network remembers the frames before. Otherwise each picture is judged, and denoised, alone.
        history: a video network may remember. Without it, or without ``stream``, every frame is like its first one.

    Raises:
        UsageError: the model does not exist, or an option is not valid.
        ModelError: the model cannot be used.
        DeviceError: no device starts.
        MissingExtraError: no runtime is installed.

    Example:
        >>> import numpy as np
        >>> import quietcam
        >>> noisy = np.random.default_rng(0).integers(100, 156, (120, 160, 3), np.uint8)
        >>> with quietcam.Denoiser("small") as denoiser:
        ...     denoised = denoiser.denoise(noisy)
        >>> denoised.shape, denoised.dtype, bool(denoised.std() < noisy.std())
        ((120, 160, 3), dtype('uint8'), True)

        For video, hand in the frames in order. ``resume`` tells that a frame does not follow the one before it.

        >>> camera = quietcam.open_camera("synthetic:size=160x120,frames=3,fps=max")
        >>> with camera, quietcam.Denoiser("small", stream=True) as denoiser:
        ...     clip = [denoiser.denoise(frame.image) for frame in camera]
        >>> len(clip)
        3
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
        history: bool = True,
    ) -> None:
        self._strength = check_strength(strength)
        self._threads, self._overlap, self._device = threads, overlap, device
        self._gated, self._stream = gate, stream
        self._past = Past() if stream and history else None
        self._coming: tuple[float, int] | None = None
        self._frames, self._reloads = Turn(), Turn()
        self._trial = Trial()
        self._seen: tuple[int, int, int] | None = None  # the shape of the last frame
        self._network = FrameNetwork(Engine(model, device, threads), overlap, advises=stream)
        self._gate = self._make_gate(self.model)
        self._warn()

    @property
    def model(self) -> ModelFile:
        """The model that runs; another one after ``reload``."""
        return self._network.model

    @property
    def interpreter(self) -> Interpreter:
        """An interpreter that works now, to measure its ``invoke``."""
        return self._network.engine.interpreter

    @property
    def runtime(self) -> str:
        """Name and version of the runtime."""
        return self._network.engine.runtime

    @property
    def threads(self) -> int:
        """Number of threads of the CPU's kernels."""
        return self._network.engine.threads

    @property
    def strength(self) -> float:
        """The network's share in the result, 0 to 1. A new value holds from the next frame on."""
        return self._strength

    @strength.setter
    def strength(self, strength: float) -> None:
        self._strength = check_strength(strength)

    @property
    def noise_sigma(self) -> float | None:
        """Noise of the last frame in steps of 255, as the gate estimated it; None without a gate, or before a frame."""
        return None if self._gate is None else self._gate.sigma

    @property
    def device_state(self) -> dict[str, Any]:
        """Which devices are wanted and which are used: :attr:`edge.network.engine.Engine.state`."""
        return self._network.engine.state

    def report(self) -> dict[str, Any]:
        """``device``: :attr:`device_state`. ``history``: ``on``, whether a video network runs that may remember; and
        ``forgotten``, how often it forgot, by reason.
        """
        past = self._past
        forgotten = {why.value: 0 if past is None else past.forgotten[why] for why in Forgot}
        history = {"on": past is not None and self.model.remembers, "forgotten": forgotten}
        return {"device": self.device_state, "history": history}

    def denoise(self, noisy: Image, out: Image | None = None) -> Image:
        """Denoise one frame.

        An RGB model takes a grayscale frame as three equal channels, and gives RGB. A grayscale model takes an RGB
        frame channel by channel. If no device is left that can run the network, the frame is returned unchanged.

        Args:
            noisy: uint8 ``(H, W, 3)`` RGB, or ``(H, W, 1)``.
            out: memory for the result. It is used if it is uint8 and has the result's shape, which a reload may change.

        Returns:
            The denoised frame, uint8 ``(H, W, C)``.

        Raises:
            DataError: ``noisy`` is not uint8 ``(H, W, 3)`` or ``(H, W, 1)``.
            ModelError: the model fails while it runs, or the denoiser is closed.
        """
        return self.treat(noisy, out).image

    def treat(self, noisy: Image, out: Image | None = None, half: bool = False) -> Treated:
        """Denoise one frame as ``denoise`` does, and say what was done.

        Args:
            noisy, out: as for ``denoise``.
            half: the network sees the frame at half its width and height, which is a quarter of the work. The gate
                judges, and blends, at the frame's own size.
        """
        check_image(noisy, "A frame")
        if not self._frames.take():
            raise ModelError("A closed denoiser takes no frame.")
        try:
            height, width, channels = noisy.shape
            self._seen = height, width, channels
            if self.model.channels == 3:
                noisy = to_rgb(noisy)
            if out is None or out.shape != noisy.shape or out.dtype != np.uint8:
                out = np.empty(noisy.shape, np.uint8)
            return Treated(out, self._treat(noisy, out, half))
        finally:
            self._frames.leave()

    def coming(self, taken: float, opened: int = 0) -> None:
        self._coming = taken, opened

    def resume(self, after: FrameDenoiser | None = None) -> None:
        """Note that the next frame does not follow the last one. It follows the last frame of the denoiser ``after``,
        and the gate continues from that one's; or frames were left out, and the gate starts again. A video network
        forgets in both cases.
        """
        before = after if isinstance(after, Denoiser) else None
        gate, past = (before._gate, before._past) if before else (None, None)

        def resume() -> None:
            if self._gate is not None and gate is not None:
                self._gate.follow(gate)
            elif self._gate is not None:
                self._gate.resume()
            if self._past is not None and past is not None:
                self._past.follow(past)
            elif self._past is not None:
                self._past.forget(Forgot.GAP)

        self._frames.between(resume)

    def reload(self, model: ModelFile | Path | str) -> None:
        """Switch to another model between two frames. May be called from another thread while frames run.

        The new model first runs a frame like the last one in a child process (:mod:`edge.child.trial`). The present
        model runs until then.

        Raises:
            ModelError: the new model cannot be used, and the present one stays; or the denoiser was closed meanwhile.
        """
        if not self._reloads.take():
            raise ModelError(_TAKES_NONE)
        try:
            with gil_window.background_work():
                self._switch(*self._make_ready(load_variants(model, self._device)))
        except UsageError as error:
            raise ModelError(str(error)) from error
        finally:
            self._reloads.leave()
        self._warn()

    def _make_ready(self, variants: ModelVariants) -> tuple[FrameNetwork, HarmGate | None]:
        """Prepare all that frames need, so that no frame waits for it."""
        model = variants.shown
        gate = self._make_gate(model)
        for _ in range(_TRIALS):
            shape = self._seen or (model.height, model.width, model.channels)
            if variants.cpu is not None:
                self._trial.of(variants.cpu, shape, self.threads, self._overlap)
            if self._seen in (None, shape):
                break
        network = FrameNetwork(Engine(variants, self._device, self._threads), self._overlap, self._stream)
        try:
            network.prepare(shape[:2], self._network)
            if variants.tpu is not None:  # it has a child process
                noisy = np.zeros((*shape[:2], model.channels), np.uint8)
                if not network.run(noisy, np.empty_like(noisy)):
                    raise ModelError(f"No device runs {model.path}. Received: {network.engine.state['reason']}.")
        except BaseException:
            network.close()
            raise
        return network, gate

    def _switch(self, network: FrameNetwork, gate: HarmGate | None) -> None:
        closed = not self._frames.take()
        if not closed:
            try:
                network, self._network = self._network, network
                if gate is not None and self._gate is not None:
                    gate.follow(self._gate)  # else each change of the model would show as a flash of noise
                self._gate = gate
                if self._past is not None:
                    self._past.forget(Forgot.MODEL)
            finally:
                self._frames.leave()
        gil_window.wait_for_invoke()
        network.close()
        if closed:
            raise ModelError(_TAKES_NONE)

    def _warn(self) -> None:
        """Warn of what ``quietcam convert`` found wrong with the model."""
        for finding in describe(self.model)["findings"] or ():
            log.warning(f"{self.model.name} was converted with a fault: {finding}")

    def tiles(self, height: int, width: int) -> int:
        """How often the network runs for a frame of this size; for a grayscale model, for each of its channels."""
        return len(grid_of(self.model, height, width, self._overlap))

    def close(self) -> None:
        """Free the model's memory and the devices. May be called twice, by any thread.

        While another thread denoises a frame, this returns immediately, and that thread frees them after its frame.
        """
        self._trial.stop()
        self._reloads.close()
        self._frames.close(lambda: self._network.close())

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
        remembered = None if closed else self._remembered(noisy, half, sigma)
        if closed or not self._run(noisy, out, half):
            np.copyto(out, noisy)
            why = _CLEAN if closed else "no device runs the network"
            return Treatment(gate=0.0 if closed else 1.0, strength=strength, sigma=sigma, why=why)
        share = 1.0 if gate is None else gate.weigh(noisy, out)
        blend(noisy, out, strength * share)
        return Treatment(
            model=self._network.engine.running,
            size="half" if half else "whole",
            gate=share,
            strength=strength,
            sigma=sigma,
            why=None if share else _CLEAN,
            history=remembered,
        )

    def _remembered(self, noisy: Image, half: bool, sigma: float | None) -> int | None:
        """How many frames the network remembers that are a past of this one; None for a still network."""
        if not self.model.remembers:
            return None
        past = self._past
        if past is not None and self._coming is not None:
            past.coming(*self._coming)
        if past is None or not past.explains(noisy, half, sigma):
            self._network.forget()
            return 0
        return past.frames

    def _run(self, noisy: Image, out: Image, half: bool) -> bool:
        """Run the network. False if no device can; the network then has forgotten, as after an error."""
        ran = False
        try:
            ran = self._network.run(noisy, out, half)
        finally:
            if self._past is not None and not ran:
                self._past.forget(Forgot.FAILED)
            elif self._past is not None and self.model.remembers:
                self._past.ran()
        return ran

    def _make_gate(self, model: ModelFile) -> HarmGate | None:
        if not self._gated:
            return None
        levels = (model.manifest.gate if model.manifest else None) or {}
        try:
            return HarmGate(self._stream, float(levels.get("low", LOW)), float(levels.get("high", HIGH)))
        except (TypeError, ValueError) as error:
            raise ModelError(
                "The gate in a manifest must hold two noise levels, low and high. "
                f"Received: {model.path}: gate={levels}. Remedy: convert the model again with `quietcam convert`."
            ) from error
