"""Options that several commands share, and the parsers of options that are numbers.

The bounds of a number are given with its option, and apply on the command line, in configuration files and in the
environment. They are wide: a value beyond them is a typing error, or takes more memory and hours than anybody has.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from quietcam.errors import StorageError
from quietcam.files.atomic import check_target
from quietcam.limits import read_number, read_whole
from quietcam.terminal.printable import printable

__all__ = [
    "Json",
    "MaxDrop",
    "MaxDropIso",
    "MaxDropIsoOrNone",
    "OutOfBounds",
    "Pairs",
    "PairsOrNone",
    "Side",
    "number",
    "whole",
    "writable",
]

_SHOWN = 60  # most characters of a value in a message


class OutOfBounds(typer.BadParameter):
    """A value that is not a number, or outside the bounds of its option."""

    def __init__(self, rule: str, nearest: str, value: object) -> None:
        text = printable(str(value))
        self.rule, self.nearest = rule, nearest
        self.received = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
        super().__init__(f"it is {rule}")

    def explain(self) -> str:
        """The rule, what was received, and the remedy."""
        option = self.param.opts[0] if self.param is not None and self.param.opts else "It"
        return f"{option} is {self.rule}. Received: {self.received}. Remedy: for example {option} {self.nearest}"


def whole(least: int, most: int) -> Callable[[Any], int]:
    """The ``parser`` of an option that is a whole number from ``least`` to ``most``, both included."""

    def integer(value: Any) -> int:  # the help shows this name
        try:
            return read_whole(value, least, most)
        except (ValueError, TypeError):
            rule = f"a whole number from {least} to {most}"
            raise OutOfBounds(rule, _nearest(least, most, value), value) from None

    return integer


def number(least: float, most: float) -> Callable[[Any], float]:
    """The ``parser`` of an option that is a finite number from ``least`` to ``most``, both included."""

    def float_(value: Any) -> float:
        try:
            return read_number(value, least, most)
        except (ValueError, TypeError, OverflowError):
            rule = f"a number from {least:.12g} to {most:.12g}"
            raise OutOfBounds(rule, _nearest(least, most, value), value) from None

    float_.__name__ = "float"
    return float_


def _nearest(least: float, most: float, value: Any) -> str:
    try:
        return f"{most if float(value) > most else least:.12g}"
    except (ValueError, TypeError, OverflowError):
        return f"{least:.12g}"


def writable(target: Any) -> Any:
    """The ``callback`` of an option for a result file: a file that cannot be written is refused before the work begins.

    Raises:
        StorageError: it cannot be written.
    """
    if target is not None and target != "-":
        try:
            check_target(Path(target))
        except OSError as error:
            raise StorageError.writing(Path(target), error) from error
    return target


Json = Annotated[
    str | None,
    typer.Option(
        "--json",
        metavar="FILE|-",
        callback=writable,
        help="Write the report as JSON to this file; - is standard output.",
    ),
]

Side = Annotated[
    str,
    typer.Option(
        metavar="SIDE[:RULE]",
        help="Use one side of the split that training uses: train, validation or test. Write a split other than the "
        "default after a colon: test:test=004,validation=001.",
    ),
]

_PAIRS = typer.Option(help="Pairs: SIDD as downloaded, or a folder with noisy/ and clean/.")
Pairs = Annotated[Path, _PAIRS]
PairsOrNone = Annotated[Path | None, _PAIRS]

MaxDrop = Annotated[
    float | None,
    typer.Option(
        metavar="DB",
        parser=number(0, 100),
        help="Exit with 3 if a quantized model loses more than this to its float twin, over all pictures.",
    ),
]
_MAX_DROP_ISO = typer.Option(
    metavar="DB",
    parser=number(0, 100),
    help="The limit of --max-drop for the pictures of one ISO bucket, if these are at least 3.",
)
MaxDropIso = Annotated[float, _MAX_DROP_ISO]
MaxDropIsoOrNone = Annotated[float | None, _MAX_DROP_ISO]
