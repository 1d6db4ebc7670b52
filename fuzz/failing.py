"""A disk that fails at random."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from random import Random
from unittest import mock

__all__ = ["failing"]


@contextlib.contextmanager
def failing(random: Random) -> Iterator[None]:
    """Within the block, few, some or all system calls fail."""
    number = random.choice((errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT, errno.EACCES))
    share = random.choice((0.03, 0.2, 1.0))
    with contextlib.ExitStack() as patches:
        for name in ("open", "write", "rename", "mkdir", "unlink", "rmdir", "scandir"):

            def call(*arguments: object, real: Callable[..., object] = getattr(os, name), **options: object) -> object:
                if random.random() < share:
                    raise OSError(number, os.strerror(number))
                return real(*arguments, **options)

            patches.enter_context(mock.patch.object(os, name, call))
        yield
