"""A run as a process: with signals, systemd, a configuration that is read again, a progress bar and a report."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from edge.run.options import RunOptions, several
from edge.service.notify import Notifier
from quietcam.errors import StorageError, UsageError
from quietcam.process.native_output import divert_native_output
from quietcam.process.stopping import process

if TYPE_CHECKING:
    from edge.run.session import Session
    from edge.service.settings import Settings

__all__ = ["run_in_process"]


def run_in_process(options: RunOptions, settings: Settings, json: str | None, announce: Callable[[str], None]) -> None:
    """Run until the source ends or a signal stops the process; then write the report to ``json``.

    Args:
        options: if ``wait`` is None, only a service waits for a camera.
        settings: reads the configuration again at a reload.
        json: a file, ``-`` for standard output, or None for no report.
        announce: called with each line about the live page's address.

    Raises:
        UsageError: options that cannot be meant.
        StorageError: a sink has not taken all frames.
        QuietcamError: what the camera, the model or a sink raised.
        KeyboardInterrupt: a signal stopped the process; sinks are finished and the report is written.
    """
    divert_native_output()
    notifier = Notifier()
    reloads = settings.from_file or notifier.wanted
    if not reloads:
        process.hangup_stops()
    notifier.loading()
    if "-" in several(options.sink) and json == "-":
        raise UsageError(
            "The frames and the report cannot both go to standard output. Received: `sink=-` and `json=-`. "
            "Remedy: `json=FILE`"
        )
    if options.wait is None:
        options = replace(options, wait=notifier.wanted)
    from edge.run.report import log_report, lost_by
    from edge.run.session import open_session
    from edge.service.watchdog import WatchdogSink
    from edge.update.slots.running import slot_model
    from quietcam.terminal.report import write_report

    if (slot := slot_model(options.model)) is not None:
        slot.start()
        options = settings.completed(options, slot.in_use().settings)
    watchdog = [WatchdogSink(notifier)] if notifier.wanted else []
    stopped = False
    with ExitStack() as stack:
        stack.callback(notifier.loaded)
        session = stack.enter_context(open_session(options, watchdog, notifier.status, announce))
        stack.enter_context(process.stopped_by(session.end))
        if reloads:
            _reload_on_hangup(session, settings, notifier, stack)
        try:
            session.open()  # before the bar, since users copy the lines that sinks write at the start
            if notifier.wanted:  # a progress bar does not belong in a service's log
                session.run()
            else:
                _run_with_bar(session)
        except KeyboardInterrupt:
            stopped = True
    report = session.report()
    log_report(report)
    write_report(json, report)
    if stopped or process.asked:
        raise KeyboardInterrupt
    if failed := lost_by(report):
        raise StorageError(f"Every sink must take all frames to the end. Received: {'; '.join(failed)}")


def _reload_on_hangup(session: Session, settings: Settings, notifier: Notifier, stack: ExitStack) -> None:
    from edge.service.reload import Reloader, on_hangup

    reloader = Reloader(lambda: settings.reread(session.reload), session.refuse_reload, notifier)
    stack.enter_context(on_hangup(reloader))


def _run_with_bar(session: Session) -> None:
    from edge.run.report import note_of
    from quietcam.terminal.progress import progress

    with progress("Denoising", session.total) as bar:
        session.run(lambda health: bar.advance(note=note_of(health)))
