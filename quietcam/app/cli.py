"""The command line: the commands of all stages in one program; errors become one line and an exit code.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a quality gate did not hold, 130 interrupted.
"""

from __future__ import annotations

import errno
import io
import logging
import os
import re
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any

import typer

import calibration.cli
import compare.cli
import convert.cli
import deploy.cli
import edge.cli
import quietcam.app.demo_cli
import quietcam.data.cli
import quietcam.representative.cli
import train.cli
from quietcam.errors import MissingExtraError, QuietcamError, UsageError, one_line
from quietcam.process.native_output import command_stderr
from quietcam.process.stopping import process
from quietcam.terminal.flags import flags_named, flags_of
from quietcam.terminal.log import log_shown, show_debug
from quietcam.terminal.options import OutOfBounds
from quietcam.terminal.say import say
from quietcam.terminal.secrets import shown_words

__all__ = ["app", "main", "run"]

app = typer.Typer(
    name="quietcam",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"auto_envvar_prefix": "QUIETCAM", "help_option_names": ["-h", "--help"]},
)

_STOPS_ITSELF = frozenset({"run"})
"""Commands that handle signals to stop by themselves, see ``quietcam.process.stopping``."""


def _version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"quietcam {version('quietcam')}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors, and debug messages.")] = False,
    version: Annotated[  # noqa: ARG001  typer calls _version
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train, quantize and run a compact denoising autoencoder on live camera frames.

    To see every stage in one run: `quietcam demo`
    """
    if context.invoked_subcommand not in _STOPS_ITSELF:
        process.interrupt_main()
    if debug:
        os.environ["QUIETCAM_DEBUG"] = "1"
        show_debug()


for _stage in (
    quietcam.app.demo_cli,
    quietcam.data.cli,
    train.cli,
    calibration.cli,
    quietcam.representative.cli,
    convert.cli,
    compare.cli,
    deploy.cli,
    edge.cli,
    deploy.cli,
):
    _stage.mount(app)


def main() -> None:
    """Run the command line, and end the process with its exit code."""
    process.install()
    with command_stderr(), log_shown(alone=True):
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        code = run()
    process.leave(code)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; print errors on the standard error stream and return the exit code."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    with log_shown(), flags_named(lambda: flags_of(typer.main.get_command(app), words)):
        return _run(words)


def _run(words: list[str]) -> int:
    given = [*words, *_environment()]
    try:
        code = app(args=words, standalone_mode=False, prog_name="quietcam")
    except KeyboardInterrupt:
        code = 130
    except QuietcamError as error:
        too_long = isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.ENAMETOOLONG
        return _explain(error, UsageError.exit_code if too_long else error.exit_code, given)
    except ModuleNotFoundError as error:
        return _explain(MissingExtraError.because(error), 1, given)
    except PermissionError as error:
        return _explain(_forbidden(error), 1, given)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        known = _unusable(error)
        return _explain(error, 1, given) if known is None else _explain(known, known.exit_code, given)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception as error:  # noqa: BLE001  whatever goes wrong, a user sees one line and no traceback
        return _wrong_usage(error, given) if hasattr(error, "format_message") else _explain(error, 1, given)
    if code == 130:  # from typer, after Ctrl-C
        say("quietcam: interrupted; what was finished is kept")
    return code if isinstance(code, int) else 0


def _environment() -> list[str]:
    """Options from the environment, as words of a command line: messages may quote them, too."""
    ours = {name: value for name, value in os.environ.items() if name.startswith("QUIETCAM_")}
    return [word for name, value in ours.items() for word in (f"--{name.lower()}", value)]


def _wrong_usage(error: Any, words: Sequence[str]) -> int:
    """Print in one line what is wrong with the command line."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "quietcam"
    if isinstance(error, OutOfBounds):
        say(f"quietcam: {shown_words(error.explain(), words)}", level=logging.ERROR)
    elif type(error).__name__ == "NoArgsIsHelpError":
        print(error.format_message())
    else:
        said = _cut(shown_words(" ".join(error.format_message().split()).rstrip("."), words))
        say(f"{command}: {said}. Remedy: see {command} --help", level=logging.ERROR)
    return int(error.exit_code)


def _explain(error: Exception, code: int, words: Sequence[str]) -> int:
    if os.environ.get("QUIETCAM_DEBUG"):
        for line in shown_words(_traceback(error), words).rstrip("\n").split("\n"):
            say(line, level=logging.ERROR)
    said = _cut(shown_words(one_line(error), words))
    if not isinstance(error, QuietcamError):
        said = f"unexpected {type(error).__name__}: {said} (quietcam --debug COMMAND shows where)"
    say(f"quietcam: {said}", level=logging.ERROR)
    return code


def _traceback(error: BaseException) -> str:
    """The traceback. Further lines of a message are indented, so that none looks like a line of the traceback."""
    text = "".join(traceback.format_exception(error))
    each: BaseException | None = error
    while each is not None:
        text = text.replace(str(each), str(each).replace("\n", "\n    ")) if str(each) else text
        each = each.__cause__ or each.__context__
    return text


def _unusable(error: OSError) -> QuietcamError | None:
    """Explain an error about a path. None if it is not about a path."""
    if error.errno == errno.ENAMETOOLONG:
        return UsageError(
            f"A path must have at most 4095 bytes, and each name in it at most 255. Received: {error.filename}. "
            "Remedy: choose a shorter one."
        )
    if not isinstance(error.filename, str | os.PathLike):
        return None
    return QuietcamError(
        f"Each path must be usable. Received: {os.fspath(error.filename)}: "
        f"{error.strerror or error}. Remedy: check the path, and its disk."
    )


def _cut(text: str) -> str:
    """The message with very long words cut."""
    return re.sub(r"\S{300,}", lambda found: f"{found[0][:120]}…", text)


def _forbidden(error: PermissionError) -> QuietcamError:
    place = error.filename if isinstance(error.filename, str | os.PathLike) else "a path that it needs"
    return QuietcamError(
        f"This user must have permission for each path, and for the current folder. Received: "
        f"{place}: {error.strerror or error}. Remedy: check the permissions with: namei -l {place}"
    )
