"""Loads the pairs of a data set in one call, for notebooks and for every command that reads pairs."""

from __future__ import annotations

from pathlib import Path

from quietcam.data.sets.layout import Layout
from quietcam.data.sets.pairs import PairList, find_pairs
from quietcam.data.sets.split import pairs_of_side
from quietcam.errors import UsageError

__all__ = ["load_pairs"]


def load_pairs(data: str | Path, *, noisy: str | None = None, clean: str | None = None, split: str = "all") -> PairList:
    """The pairs of a data set, sorted by name. No picture is opened before a pair is read.

    Args:
        data: a folder, a ``.zip`` or a ``.mat`` file, as ``quietcam.data.sets.pairs.find_pairs`` describes them.
        noisy: the name of the folder of the noisy pictures, or a pattern such as ``*_5000.JPG``, in which ``*`` stands
            for the part that both files of a pair share. Defaults to the names that are stored with the data set, else
            the usual names. Give it together with ``clean``.
        clean: the same for the clean pictures.
        split: ``all``, or one side of the split by scene that training uses: ``train``, ``validation``, ``test``.
            Write a split other than the default after a colon: ``test:test=004,validation=001``.

    Returns:
        Pairs to iterate over. ``pair.read()`` gives ``(noisy, clean)``, each uint8 ``(H, W, 3)`` RGB of one size;
        ``pair.name`` and ``pair.scene`` are text; ``pair.phone`` and ``pair.iso`` are read from SIDD's names, else
        None. ``problems`` lists skipped pictures.

    Raises:
        UsageError: there is no such data set, one of the two names is missing, or there is no such side.
        DataError: no pair is left, the archive or ``.mat`` file cannot be used, or there are too few scenes to split.

    Example:
        >>> import quietcam
        >>> import tempfile
        >>> from pathlib import Path
        >>> from quietcam.data.generated import make_generated_pair
        >>> from quietcam.data.pictures.files import write_picture
        >>> folder = Path(tempfile.mkdtemp())
        >>> for side, picture in zip(("noisy", "clean"), make_generated_pair(1, size=64), strict=True):
        ...     (folder / side).mkdir()
        ...     write_picture(folder / side / "one.png", picture)
        >>> for pair in quietcam.load_pairs(folder):
        ...     noisy, clean = pair.read()
        ...     print(pair.name, noisy.shape, noisy.dtype, pair.iso)
        one (64, 64, 3) uint8 None
    """
    if (noisy is None) != (clean is None):
        given, other = (f"`noisy` {noisy}", "clean") if clean is None else (f"`clean` {clean}", "noisy")
        raise UsageError(f"`noisy` and `clean` must be given together. Received: {given} alone. Remedy: add `{other}`.")
    found = find_pairs(Path(data), None if noisy is None or clean is None else Layout(noisy, clean))
    return PairList(pairs_of_side(found.pairs, split), found.problems)
