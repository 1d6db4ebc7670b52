"""The bus that stand-ins for Edge TPUs are plugged into."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Bus:
    """Where the stand-in for Edge TPUs is plugged in and out."""

    folder: Path

    def plug(self, device: str) -> None:
        (self.folder / device).write_text("")

    def unplug(self, device: str) -> None:
        (self.folder / device).unlink()

    def hang(self, device: str) -> None:
        """Let the device hang until it is plugged in again."""
        (self.folder / device).write_text("h")

    def misbehave(self, where: str, how: str) -> None:
        """Let the library fail at this entry point, in a way of `fake_edgetpu.c`; empty ``how``: work again."""
        written = self.folder / "written"
        written.write_text(how)
        written.replace(self.folder / f"at_{where}")

    @property
    def log(self) -> list[str]:
        """The calls of the library, in order."""
        log = self.folder / "log"
        return log.read_text().splitlines() if log.exists() else []
