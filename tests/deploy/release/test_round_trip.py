"""From a publisher to a device: what is offered arrives where it is offered, and costs little if nothing changed."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from tuf.api.metadata import Root

from deploy.release.offers import Audience, add_bundle, offer, pause, withdraw
from deploy.release.publish import Signers
from edge.update.archive import unpack
from edge.update.channel import Channel, Device, Offer, place_of
from edge.update.fetch import Limits, ReleaseClient
from quietcam.errors import StorageError, UpdateError, UsageError
from tests.deploy.release.made import DEVICE, Made, fake_archive, now, wanted


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


def test_a_bundle_comes_from_the_publisher_to_the_device(made: Made, tmp_path: Path) -> None:
    assert made.client().check(None).why == "no bundle is offered to this device"
    bundle = made.offer("1")
    client = made.client()
    answer = client.check(None)
    assert answer.archive is not None
    assert answer.is_new
    archive = client.fetch(answer.archive)
    assert archive.read_bytes() == (made.home / "small-1.tar").read_bytes()
    assert unpack(archive, tmp_path / "slot").id == bundle
    assert made.client().check(bundle).archive is None


def test_an_unchanged_release_costs_one_small_request(made: Made) -> None:
    bundle = made.offer("1")
    made.client().check(None)
    answer = made.client().check(bundle)
    assert (answer.archive, answer.is_new, answer.requests) == (None, False, 1)
    assert answer.fetched < 2048
    # What was not taken over yet is still known, without another request.
    assert made.client().check(None).archive is not None
    assert made.client().check(None).requests == 1


def test_signing_the_timestamp_again_costs_two_requests(made: Made) -> None:
    bundle = made.offer("1")
    made.client().check(None)
    made.publish()
    answer = made.client().check(bundle)
    assert (answer.archive, answer.is_new, answer.requests) == (None, True, 2)  # the second: is there a new root?


def test_a_newer_bundle_is_taken_and_a_withdrawn_one_left(made: Made) -> None:
    one, two = made.offer("1"), made.offer("2")
    assert wanted(made.client(), one).bundle == two
    withdraw(made.repository, made.keys, Audience(), two, now())
    made.publish()
    assert made.client().check(one).archive is None
    assert wanted(made.client(), two).bundle == one


def test_a_bundle_that_failed_here_is_not_taken_again(made: Made) -> None:
    one, two = made.offer("1"), made.offer("2")
    assert made.client().check(one, refused=[two]).archive is None
    assert made.client().check(None, refused=[one, two]).why == "no bundle is offered to this device"


def test_a_paused_channel_changes_nothing(made: Made) -> None:
    made.offer("1")
    pause(made.repository, made.keys, Audience(), True, now())
    made.publish()
    assert made.client().check(None).why == "the channel is paused"
    pause(made.repository, made.keys, Audience(), False, now())
    made.publish()
    assert made.client().check(None).archive is not None


def test_channels_and_devices_get_their_own(made: Made) -> None:
    made.offer("1")
    beta = made.offer("2", Audience("beta"))
    own = made.offer("3", Audience(device="ffffffffffff"))

    def chosen(device: Device) -> str | None:
        archive = made.client(device=device, state=f"{device.id}-{device.channel}").check(None).archive
        return None if archive is None else archive.bundle

    assert chosen(DEVICE) == "small-1"
    assert chosen(Device(DEVICE.id, "beta")) == beta
    assert chosen(Device("ffffffffffff")) == own
    assert made.client(device=Device(DEVICE.id, "other"), state="other").check(None).why == (
        "the release has no channel other"
    )


def test_a_share_of_the_devices_comes_first_and_others_with_each_bundle() -> None:
    devices = [Device(f"{number:012x}") for number in range(2000)]
    first = {each.id for each in devices if Offer("small-2", share=10).is_for(each)}
    more = {each.id for each in devices if Offer("small-2", share=50).is_for(each)}
    other = {each.id for each in devices if Offer("small-3", share=10).is_for(each)}
    assert 150 < len(first) < 250
    assert first < more
    assert len(first & other) < 50
    assert all(0 <= place_of(each.id, "small-2") < 100 for each in devices)


def test_tags_choose_groups() -> None:
    channel = Channel(
        (Offer("small-1"), Offer("small-2", tags=("outdoor",)), Offer("small-3", tags=("outdoor", "night")))
    )
    choose = {
        tags: channel.choose(Device("0", tags=frozenset(tags)), None).bundle
        for tags in [(), ("outdoor",), ("outdoor", "night"), ("night",)]
    }
    assert choose == {(): "small-1", ("outdoor",): "small-2", ("outdoor", "night"): "small-3", ("night",): "small-1"}


def test_a_smaller_share_takes_no_bundle_away(made: Made) -> None:
    made.offer("1")
    two = made.offer("2")
    offer(made.repository, made.keys, Audience(), Offer(two, share=0), now())
    made.publish()
    answer = made.client().check(two)
    assert answer.archive is None
    assert "small-2 stays" in answer.why


def test_a_bundle_never_changes_under_its_name(made: Made) -> None:
    made.offer("1")
    (made.home / "other").mkdir()
    other = fake_archive(made.home / "other", "1", size=7)
    with pytest.raises(UsageError, match="never changes"):
        add_bundle(made.repository, made.keys, other, now())
    add_bundle(made.repository, made.keys, made.home / "small-1.tar", now())  # the same one again


def test_what_the_release_does_not_hold_is_not_offered(made: Made) -> None:
    for wrong in ("small-9", "../x", ""):
        with pytest.raises(UsageError, match="bundles that it holds"):
            offer(made.repository, made.keys, Audience(), Offer(wrong), now())
    made.offer("1")
    with pytest.raises(UsageError, match="0 to 100"):
        offer(made.repository, made.keys, Audience(), Offer("small-1", share=101), now())
    with pytest.raises(UsageError, match="can be withdrawn"):
        withdraw(made.repository, made.keys, Audience("beta"), "small-1", now())


def test_a_download_goes_on_where_it_ended(made: Made) -> None:
    made.offer("1", size=300_000)
    client = made.client()
    archive = wanted(client)
    content = (made.home / "small-1.tar").read_bytes()
    part = made.home / "state/download/small-1.part"
    part.write_bytes(content[:200_000])
    fetched = client._trusted.fetcher.fetched
    assert client.fetch(archive).read_bytes() == content
    assert client._trusted.fetcher.fetched - fetched == len(content) - 200_000
    assert client._trusted.fetcher.requests
    again = client._trusted.fetcher.fetched
    assert client.fetch(archive).read_bytes() == content  # it is there: nothing is fetched
    assert client._trusted.fetcher.fetched == again


def test_a_beginning_of_something_else_is_fetched_anew(made: Made) -> None:
    made.offer("1")
    client = made.client()
    archive = wanted(client)
    for wrong in (b"wrong", bytes(archive.size), bytes(archive.size + 1)):
        (made.home / "state/download/small-1.part").write_bytes(wrong)
        path = client.fetch(archive)
        assert path.read_bytes() == (made.home / "small-1.tar").read_bytes()
        path.unlink()


def test_a_full_disk_leaves_nothing_behind(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    made.offer("1")
    client = made.client()
    archive = wanted(client)
    usage = shutil.disk_usage(made.home)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1 << 20))
    with pytest.raises(StorageError, match="No space left"):
        client.fetch(archive)
    assert list((made.home / "state/download").iterdir()) == []


def test_older_downloads_are_removed(made: Made) -> None:
    made.offer("1")
    client = made.client()
    archive = wanted(client)
    (made.home / "state/download/small-0.part").touch()
    assert client.fetch(archive).name == "small-1.tar"
    assert [each.name for each in (made.home / "state/download").iterdir()] == ["small-1.tar"]


def test_a_threshold_needs_its_signatures(tmp_path: Path) -> None:
    made = Made(tmp_path, {"targets": Signers(2, 2), "root": Signers(3, 2)})
    assert made.repository.root.roles[Root.type].threshold == 2
    key = made.home / "keys/targets-2.pem"
    aside = key.read_bytes()
    key.unlink()
    index = made.home / "keys/keys.json"
    whole = index.read_text()
    index.write_text("\n".join(line for line in whole.splitlines() if "targets-2" not in line).replace(",\n}", "\n}"))
    bundle = add_bundle(made.repository, made.keys, fake_archive(made.home, "1"), now())
    assert made.repository.missing("targets") == 1
    with pytest.raises(UpdateError, match="targets, which lacks 1"):
        made.publish()
    assert made.client().check(None).why == "no bundle is offered to this device"
    key.write_bytes(aside)
    index.write_text(whole)
    offer(made.repository, made.keys, Audience(), Offer(bundle), now())
    made.publish()
    assert made.client().check(None).archive is not None


def test_a_usb_stick_and_a_budget(made: Made) -> None:
    made.offer("1", size=100_000)
    stick = Path(shutil.copytree(made.folder, made.home / "stick"))
    client = made.client(str(stick), limits=Limits(bytes=50_000))
    archive = wanted(client)
    with pytest.raises(UpdateError) as caught:
        client.fetch(archive)
    assert caught.value.reason == "too_large"
    with pytest.raises(UpdateError) as caught:
        made.client(str(made.home / "gone")).check(None)
    assert caught.value.reason == "offline"
    with pytest.raises(UpdateError) as caught:
        made.client(str(stick), limits=Limits(bytes=500)).check(None)
    assert caught.value.reason == "too_large"


def test_a_device_without_a_clock_says_so(made: Made) -> None:
    for clock in (now().replace(year=1970), now() - timedelta(days=3)):
        client = ReleaseClient(str(made.folder), made.root, made.home / "s", DEVICE, clock=lambda: clock)  # noqa: B023
        with pytest.raises(UpdateError) as caught:
            client.check(None)
        assert caught.value.reason == "no_clock"


def test_a_device_without_a_root_says_so(made: Made) -> None:
    with pytest.raises(UpdateError) as caught:
        made.client(root=made.home / "none.json")
    assert caught.value.reason == "no_root"
    (made.home / "none.json").write_text("{}")
    with pytest.raises(UpdateError) as caught:
        made.client(root=made.home / "none.json")
    assert caught.value.reason == "altered"
