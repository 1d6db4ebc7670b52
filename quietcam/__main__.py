"""``python -m quietcam``: the command line."""

import sys
from pathlib import Path

# Python looks for modules in the folder that it is started in first. There, somebody's own train.py or convert.py would
# be taken for a stage of ours.
if not sys.flags.safe_path:
    del sys.path[0]
    if (home := str(Path(__file__).parents[1])) not in sys.path:  # started in a checkout that is not installed
        sys.path.insert(0, home)

from quietcam.cli import main

main()
