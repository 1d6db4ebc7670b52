"""The methods that a test's own network needs to replace a denoiser."""

from __future__ import annotations

from edge.network.frame_denoiser import FrameDenoiser
from edge.network.treatment import Treated, Treatment
from quietcam.image import Image


class Treats(FrameDenoiser):
    """Beside a ``denoise`` of the test's: all of it is shown, whatever the size."""

    strength = 1.0

    def denoise(self, noisy: Image, out: Image | None = None) -> Image:
        raise NotImplementedError

    def treat(self, noisy: Image, out: Image | None = None, half: bool = False) -> Treated:
        image = self.denoise(noisy, out)
        return Treated(image, Treatment(model=type(self).__name__, size="half" if half else "whole"))

    def resume(self, after: FrameDenoiser | None = None) -> None:
        """Do nothing: there is no state."""

    def close(self) -> None:
        """Do nothing: there is nothing to free."""
