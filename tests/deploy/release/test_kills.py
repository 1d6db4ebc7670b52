"""Updates from a signed release are killed (kill -9) at random instants: while metadata and a bundle are fetched,
verified, unpacked, tried and installed. A whole, verified bundle is in use each time, and the next update works.

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

from deploy.release.offers import Audience, add_bundle, offer
from edge.update.archive import pack
from edge.update.channel import Offer
from edge.update.slots.store import Store
from tests.deploy.release.made import Made, now
from tests.edge.update.bundles import make_bundle
from tests.edge.update.slots.devices import another_version, check_whole
from tests.edge.update.slots.updating import Updater
from tests.small_models import with_manifest

KILLS = int(os.environ.get("QUIETCAM_UPDATE_KILLS", "10"))
"""How many updates are killed; `make kills` sets it. The tests kill fewer than of the slots' alone, since some of these
start Python for the canary, which takes long on a busy machine.
"""

CANARIES = 0.1  # share of the updates that try the bundle in a process of its own, which takes most of their time


@pytest.fixture
def releases(tmp_path: Path, models: Path) -> tuple[Path, dict[str, Path]]:
    """The trusted root, and a release as it was after each of its bundles: by the newest bundle."""
    made = Made(tmp_path)
    model = with_manifest(models, tmp_path, "small_32x32_int8", receptive_field=6, stride=2)
    first = make_bundle(tmp_path / "bundle", model, frames=(1,))
    found = {}
    for version in "1234":
        pack(another_version(first, tmp_path / version, version), archive := tmp_path / f"small-{version}.tar")
        bundle = add_bundle(made.repository, made.keys, archive, now())
        offer(made.repository, made.keys, Audience(), Offer(bundle), now())
        made.publish()
        found[bundle] = _copy(made.folder, tmp_path / f"release-{version}")
    return made.root, found


def _copy(folder: Path, target: Path) -> Path:
    """Hard links suffice: a published file is replaced, and never written again."""
    for path in folder.rglob("*"):
        if path.is_file():
            (target / path.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
            (target / path.relative_to(folder)).hardlink_to(path)
    return target


@pytest.mark.slow
def test_killed_updates_from_a_release(releases: tuple[Path, dict[str, Path]], tmp_path: Path) -> None:
    root, offered = releases
    chance = random.Random(0)
    killed = 0
    with Updater() as updater:

        def finished(store: Store, release: Path, has_canary: bool = False) -> float:
            """Update without a kill: the seconds that it took."""
            updater.begin_from(store, release, root, has_canary)
            assert updater.end() == 0
            return updater.seconds

        lasts = [finished(Store(tmp_path / f"timed{each}"), offered["small-1"], bool(each)) for each in range(2)]
        for number in itertools.count():
            store, old = Store(tmp_path / f"device{number}"), "factory"
            for new, release in offered.items():
                in_use = old
                while in_use == old and chance.random() < 0.8 and killed < KILLS:
                    has_canary = chance.random() < CANARIES
                    process = updater.begin_from(store, release, root, has_canary)
                    time.sleep(chance.uniform(0, lasts[has_canary]))
                    os.kill(process, signal.SIGKILL)
                    code = updater.end()
                    killed += code == -signal.SIGKILL
                    if code == 0:  # it had ended before: the machine is less busy by now
                        lasts[has_canary] = updater.seconds
                    in_use = check_whole(store, {old, new})
                seconds = finished(store, release)
                lasts[False] = seconds if in_use == old else lasts[False]
                old = check_whole(store, {new})
                names = sorted(path.name for path in store.folder.iterdir())
                assert names == ["busy", "lock", "release", "slots", "state.json"]
                assert not list((store.folder / "release/download").iterdir())
            if killed >= KILLS:
                return
