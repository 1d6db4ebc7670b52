"""Lints a file of pictures, and audits it against the data that it was cut from: what `quietcam lint` does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quietcam.errors import UsageError
from quietcam.representative.array_file import PictureArray, read_array
from quietcam.representative.audit import Audit, audit, read_samples
from quietcam.representative.lint import lint
from quietcam.representative.rules import LintFinding
from quietcam.representative.set import load_set

__all__ = ["LintReport", "lint_file"]


@dataclass(frozen=True)
class LintReport:
    """What is wrong with a file.

    Attributes:
        path: of the file.
        array: the pictures in it.
        findings: the linter's findings, worst first.
        audit: the comparison of every sample with the data; None if no data was given.
    """

    path: Path
    array: PictureArray
    findings: list[LintFinding]
    audit: Audit | None = None

    @property
    def errors(self) -> list[LintFinding]:
        """The findings that would ruin a model."""
        return [finding for finding in self.findings if finding.severity == "error"]

    @property
    def sound(self) -> bool:
        """True if a model may be calibrated with it: no error, and every sample matches the data."""
        return not self.errors and not (self.audit and self.audit.wrong)

    def to_dict(self) -> dict[str, Any]:
        """``{path, array, shape, dtype, findings, audit}``: plain values, for JSON."""
        return {
            "path": str(self.path),
            "array": self.array.key,
            "shape": list(self.array.array.shape),
            "dtype": str(self.array.array.dtype),
            "findings": [finding.to_dict() for finding in self.findings],
            "audit": self.audit.to_dict() if self.audit else None,
        }


def lint_file(
    file: str | Path, *, data: str | Path | None = None, key: str | None = None, video: bool = False
) -> LintReport:
    """Find what is wrong with a representative set, or with any file of pictures that is to become one.

    Args:
        file: an ``.npz`` or ``.npy`` file.
        data: the data set that it was cut from: every sample is cut again and its SHA-256 compared.
        key: the array in an ``.npz`` file that quietcam did not write. Defaults to ``patches``, else the largest one.
        video: whether the set is for a video network, which needs the history of each patch.

    Raises:
        UsageError: there is no such file, array or data set; or both ``data`` and ``key`` are given.
        DataError: it is another kind of file, is damaged, or is a set that cannot be audited.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from quietcam.representative.lint_file import lint_file
        >>> file = Path(tempfile.mkdtemp(), "floats.npy")
        >>> np.save(file, np.linspace(0.0, 255.0, 3 * 64 * 64).reshape(1, 64, 64, 3))
        >>> report = lint_file(file)
        >>> report.sound, report.errors[0].name
        (False, 'range-255')
    """
    file = Path(file)
    if data is not None and key is not None:
        raise UsageError(
            "`key` is for files that quietcam did not write, which cannot be audited. Received: `key` and `data`. "
            "Remedy: leave one of them out."
        )
    samples = None if data is None else read_samples(file)
    found = read_array(file, key)
    if found.is_set and samples is None:
        load_set(file)  # refuses a set whose patches do not match their SHA-256
    findings = lint(found.array, history=found.history, origin=found.origin, video=video)
    audited = None if samples is None or data is None else audit(samples, Path(data))
    return LintReport(file, found, findings, audited)
