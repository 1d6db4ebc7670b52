"""SIDD's instance names: what the Smartphone Image Denoising Dataset writes into the name of a folder."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Instance"]

_NAME = re.compile(r"(\d{4})_(\d{3})_([A-Z][A-Z0-9])_(\d{5})_(\d{5})_(\d{4})_([LNH])(?![A-Z0-9])", re.IGNORECASE)


@dataclass(frozen=True)
class Instance:
    """One scene instance: a scene under one light, taken by one phone at one setting.

    Attributes:
        instance: four digits, "0001".
        scene: three digits, "001". SIDD has ten scenes; data is split by these.
        phone: "GP" Google Pixel, "IP" iPhone 7, "S6" Galaxy S6 Edge, "N6" Nexus 6, "G4" LG G4.
        iso: 50 to 10000.
        shutter: the denominator of the exposure time, 1 / shutter seconds.
        temperature: the illuminant's, in kelvin.
        brightness: "L" low, "N" normal, "H" high.
    """

    instance: str
    scene: str
    phone: str
    iso: int
    shutter: int
    temperature: int
    brightness: str

    @classmethod
    def parse(cls, name: str) -> Instance | None:
        """Read a name that starts as ``0001_001_S6_00100_00060_3200_L``; None when it does not."""
        match = _NAME.match(name)
        if match is None:
            return None
        instance, scene, phone, iso, shutter, temperature, brightness = match.groups()
        return cls(instance, scene, phone.upper(), int(iso), int(shutter), int(temperature), brightness.upper())

    @property
    def name(self) -> str:
        """The name as SIDD writes it: what ``parse`` reads back."""
        return (
            f"{self.instance}_{self.scene}_{self.phone}_{self.iso:05d}_{self.shutter:05d}_"
            f"{self.temperature:04d}_{self.brightness}"
        )
