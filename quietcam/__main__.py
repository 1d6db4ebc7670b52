"""The way into the command line: ``python -m quietcam``, and what the command ``quietcam`` calls."""

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    # Python looks for modules first in the folder that it is started in. A user's random.py or numpy.py there would be
    # taken for another's.
    del sys.path[0]
    home = __file__.rpartition("/quietcam/")[0]
    if home not in sys.path:  # started in a checkout that is not installed
        sys.path.insert(0, home)

from quietcam.process.own_packages import find_own_packages_first
from quietcam.process.stopping import process

__all__ = ["start"]

find_own_packages_first()  # at import, since worker processes import this module, too

if "--multiprocessing-fork" in sys.orig_argv:  # a worker process of a command
    from quietcam.terminal.log import show_log

    show_log()


def start() -> None:
    """As :func:`quietcam.app.cli.main`."""
    process.install()  # before anything that takes time is imported: no signal is lost from here on
    from quietcam.app.cli import main

    main()


if __name__ == "__main__":
    start()
