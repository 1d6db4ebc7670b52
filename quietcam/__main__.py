"""The way into the command line: ``python -m quietcam``, and what the command ``quietcam`` calls."""

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    # Python looks for modules in the folder that it is started in first. There, somebody's own train.py or convert.py
    # would be taken for a stage of ours.
    del sys.path[0]
    home = __file__.rpartition("/quietcam/")[0]
    if home not in sys.path:  # started in a checkout that is not installed
        sys.path.insert(0, home)

from quietcam.process.stopping import process

__all__ = ["start"]


def start() -> None:
    """As :func:`quietcam.app.cli.main`."""
    process.install()  # before anything that takes time is imported: no signal is lost from here on
    from quietcam.app.cli import main

    main()


if __name__ == "__main__":
    start()
