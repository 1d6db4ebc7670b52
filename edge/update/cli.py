"""The command `update`."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge.options import Device, Threads
from quietcam.errors import UsageError
from quietcam.terminal.options import Json, number

if TYPE_CHECKING:
    from edge.update.slots.state import State

__all__ = ["update_command"]


def update_command(
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="FOLDER|URL",
            envvar="QUIETCAM_UPDATE_FROM",
            show_envvar=True,
            help="The release: an https:// address, or a folder, such as that of a USB stick.",
        ),
    ] = None,
    root: Annotated[
        Path, typer.Option(metavar="FILE", help="The root.json of the release that this device trusts.")
    ] = Path("/etc/quietcam-root.json"),
    channel: Annotated[str, typer.Option(help="The channel that this device follows.")] = "stable",
    tag: Annotated[
        list[str] | None, typer.Option(help="A group that this device belongs to. Repeat the option for several.")
    ] = None,
    status: Annotated[bool, typer.Option("--status", help="Show what is in use, and change nothing.")] = False,
    history: Annotated[bool, typer.Option("--history", help="Show what updates did here, the newest last.")] = False,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Use what was in use before, and do not install this bundle again.")
    ] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Try a bundle again that was refused before.")] = False,
    trial: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            parser=number(0, 10**6),
            help="Seconds with frames in which the new bundle must prove itself. 0: none.",
        ),
    ] = 600.0,
    device: Device = "cpu",
    threads: Threads = None,
    state: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where slots and state are. Default: update in $STATE_DIRECTORY, or /var/lib/quietcam/update.",
        ),
    ] = None,
    json: Json = None,
) -> None:
    """Fetch the models of a signed release, try them, and use them: a running camera takes them over by itself.

    Whatever fails, the device goes on with what it has. Exit code 3: the new bundle missed its bounds here.

    Example: `quietcam update --from https://updates.example.com/cameras`
    """
    from edge.update.install import roll_back
    from edge.update.slots.store import Store, default_folder

    store = Store(state or default_folder())
    if sum((status, history, rollback, retry)) > 1:  # the environment may name a release beside each of them
        raise UsageError(
            "One thing is done at a time. Received: several of `retry`, `status`, `history` and `rollback`. "
            "Remedy: name one."
        )
    if status:
        _show_status(store.read(), json)
    elif history:
        _show_history(store.read(), json)
    elif rollback:
        _show_status(roll_back(store), json)
    elif source is None:
        raise UsageError("An update comes from a release. Received: no `from`. Remedy: `from=https://…`, or a folder.")
    else:
        from functools import partial

        from edge.events.device_id import device_id
        from edge.update.canary import check_bundle
        from edge.update.channel import Device as Asking
        from edge.update.install import update
        from edge.update.release_source import ReleaseSource
        from quietcam.terminal.report import report_console, write_report

        release = ReleaseSource(
            source, root, store.folder / "release", Asking(device_id(), channel, frozenset(tag or ()))
        )
        outcome = update(store, release, partial(check_bundle, device=device, threads=threads), trial, retry)
        report_console(json).print(outcome.words)
        write_report(json, {"installed": outcome.installed, "words": outcome.words, **_report(store.read())})


def _show_status(state: State, json: str | None) -> None:
    from edge.events.device_id import device_id
    from quietcam.terminal.report import report_console, write_report

    console = report_console(json)
    back = "nothing to go back to" if state.back is None else f"goes back to {state.version_of(state.back)}"
    console.print(f"in use: {state.version_of(state.current)}, {back}")
    if state.trial is not None:
        seconds, length = state.trial.figures.seconds, state.trial.length
        console.print(f"on trial: {seconds:.0f} of {length:.0f} s with frames")
    for each in state.refused:
        console.print(f"not tried again: {each.version}: {each.why}")
    if state.checked is None:
        console.print("never looked for an update")
    else:
        failed = "failed: " if state.checked.failed else ""
        console.print(f"last look: {_date(state.checked.time)}: {failed}{state.checked.words}")
    console.print(f"device id: {device_id()}")
    write_report(json, {"device_id": device_id(), **_report(state)})


def _show_history(state: State, json: str | None) -> None:
    from edge.table import show_table

    rows = [[_date(each.time), each.event, each.version, each.words] for each in state.history]
    content = [vars(each) for each in state.history]
    show_table(json, content, "Updates", ["time", "event", "version", "what happened"], rows, [])


def _report(state: State) -> dict[str, Any]:
    """For JSON."""
    return {
        "version": state.version_of(state.current),
        "back": None if state.back is None else state.version_of(state.back),
        "trial": state.trial and {"seconds": state.trial.figures.seconds, "length": state.trial.length},
        "refused": [vars(each) for each in state.refused],
        "checked": state.checked and vars(state.checked),
    }


def _date(seconds: float) -> str:
    """UTC; a device without a clock counts from 1970."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
