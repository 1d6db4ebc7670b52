"""The commands of data sets: data generate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from quietcam.errors import UsageError


def mount(app: typer.Typer) -> None:
    """Register this package's commands."""
    data = typer.Typer(no_args_is_help=True, help="Data sets: generate pairs of noisy and clean pictures.")
    data.command("generate")(generate)
    data.callback()(_group)
    app.add_typer(data, name="data")


def _group() -> None:
    """Data sets: generate pairs of noisy and clean pictures."""


def generate(
    out: Annotated[Path, typer.Option(help="The folder; takes noisy/ and clean/.")],
    count: Annotated[int, typer.Option(min=1, help="How many pairs.")] = 400,
    size: Annotated[int, typer.Option(min=32, max=4096, help="Side of a picture in pixels.")] = 256,
    seed: Annotated[int, typer.Option(min=0, help="Of the first pair; each further pair takes the next.")] = 0,
    band: Annotated[
        str | None,
        typer.Option(help="Lowest and highest PSNR of the noisy side, LOW:HIGH in dB. Default: as drawn."),
    ] = None,
) -> None:
    """Generate clean scenes and take each through a random camera's sensor noise.

    Example: `quietcam data generate --out pairs/ --count 400 --band 20:26`
    """
    from quietcam.data.generated import write_pairs

    limits = None
    if band is not None:
        try:
            low, high = (float(part) for part in band.split(":"))
        except ValueError:
            raise UsageError(f"--band must be LOW:HIGH in dB, such as 20:26. Received: {band!r}.") from None
        limits = (low, high)
    write_pairs(out, count=count, size=size, seed=seed, band=limits)
    print(f"{out}: {count} pairs")
