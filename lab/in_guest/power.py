"""Updates the models of this device without a pause, and tells over the serial line what the device acknowledges.

A line there is on the host when its call returns, so it counts as told however the power fails afterwards. Each begins
with ``quietcam-lab`` and is JSON: ``up``, seconds since the boot, and

- ``stored``: how many frames each sink counts as stored since the service started, by the begin of its name;
- ``update``: time, event and version of the newest entry of the history, after an update or a rollback has returned;
- ``trouble``: an update that failed.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

PAGE = "http://127.0.0.1:8080/status.json"
SERIAL = "/dev/ttyS0"
STATE = "/var/lib/quietcam/update"
RELEASE, TRUST = "/opt/release", "/etc/quietcam-root.json"
EVERY = 0.3  # seconds between two looks at what is stored


def tell(**found: Any) -> None:
    line = json.dumps({"up": round(time.clock_gettime(time.CLOCK_BOOTTIME), 2), **found})
    with Path(SERIAL).open("wb", buffering=0) as serial:  # anew each time: the login on this line hangs others up
        serial.write(f"\nquietcam-lab {line}\n".encode())


def watch() -> None:
    """Tell what the sinks count as stored, whenever it has changed."""
    before: dict[str, int] = {}
    while True:
        with contextlib.suppress(OSError, ValueError):
            with urllib.request.urlopen(PAGE, timeout=20) as page:
                status = json.loads(page.read())
            stored = {
                each["name"].partition(":")[0]: each["stored"] for each in status.get("sinks", []) if "stored" in each
            }
            if stored != before:
                tell(stored=stored)
                before = stored
        time.sleep(EVERY)


def update() -> None:
    """From one channel's bundle to the other's, and back. No golden frames run: the disk is written all the time."""
    from edge.events.device_id import device_id
    from edge.update.channel import Device
    from edge.update.install import roll_back
    from edge.update.install import update as install
    from edge.update.release_source import ReleaseSource
    from edge.update.slots.store import Store
    from quietcam.errors import QuietcamError

    store = Store(Path(STATE))

    def take(channel: str) -> None:
        source = ReleaseSource(RELEASE, Path(TRUST), store.folder / "release", Device(device_id(), channel))
        if install(store, source, lambda _: None, trial=0.0, retry=True).installed:
            acknowledge()

    def acknowledge() -> None:
        note = store.read().history[-1]
        tell(update=[note.time, note.event, note.version])

    while True:
        try:
            take("beta")
            take("stable")
            roll_back(store)
            acknowledge()
        except QuietcamError as error:
            tell(trouble=str(error))
            time.sleep(1.0)


if __name__ == "__main__":
    sys.stderr = sys.stdout
    threading.Thread(target=watch, daemon=True).start()
    update()
