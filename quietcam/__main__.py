"""``python -m quietcam``: the command line."""

from quietcam.cli import main

main()
