"""The updating process is killed (kill -9) at random instants: a whole bundle is in use, and the next update works.

`make kills` kills 500 of them.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
from pathlib import Path

import pytest

from edge.update.slots.running import SlotModel
from edge.update.slots.state import State
from edge.update.slots.store import Store
from tests.edge.update.slots.devices import check_whole
from tests.edge.update.slots.updating import Updater

KILLS = int(os.environ.get("QUIETCAM_UPDATE_KILLS", "50"))
"""How many updates are killed; `make kills` sets it."""


@pytest.mark.slow
def test_killed_updates(store: Store, versions: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    chance = random.Random(0)
    bundles = itertools.cycle(versions.items())
    killed = 0
    with Updater() as updater:
        old, folder = next(bundles)
        updater.begin(store, folder, 0.0)
        assert updater.end() == 0
        lasts = updater.seconds
        while killed < KILLS:
            new, folder = next(bundles)
            process = updater.begin(store, folder)
            time.sleep(chance.uniform(0, lasts))
            os.kill(process, signal.SIGKILL)
            code = updater.end()
            killed += code == -signal.SIGKILL
            lasts = updater.seconds if code == 0 else lasts  # the machine is less busy by now
            SlotModel(store).start()
            store.change(State.settle)  # half a minute of frames came: no crash loop
            found = check_whole(store, {old, new})
            if chance.random() < 0.5:  # the next update follows at once, or another one is killed first
                last, folder = next(bundles)
                updater.begin(store, folder, 0.0)
                assert updater.end() == 0
                lasts = updater.seconds
                found = check_whole(store, {last})
                assert sorted(path.name for path in store.folder.iterdir()) == ["busy", "lock", "slots", "state.json"]
            old = found
