"""The command `voice-agent`: finds the subcommand, and turns every failure into one line and an exit code.

0    done
1    an error that we know: "error: what (why). What to do."
2    the command line itself is wrong
70   a fault of ours; with --debug its traceback
130  interrupted from the keyboard
"""

import errno
import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, NoReturn, TypeVar

import typer

from voice_agent.errors import VoiceAgentError

E = TypeVar("E", bound=BaseException)

COMMANDS: dict[str, str] = {
    "talk": "voice_agent.cli.talk:talk",
    "serve": "voice_agent.cli.serve:serve",
    "keys": "voice_agent.cli.keys:app",
    "doctor": "voice_agent.cli.doctor:doctor",
    "models": "voice_agent.cli.models:app",
    "settings": "voice_agent.cli.settings:settings",
    "replay": "voice_agent.cli.replay:replay",
    "bench": "voice_agent.cli.bench:app",
}
"""Subcommand to the function or `typer.Typer` that is it, in the order of --help."""

EXIT_ERROR = 1
EXIT_INTERNAL = 70
"""EX_SOFTWARE of sysexits.h."""

EXIT_INTERRUPTED = 130


def main(words: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line `words` (without the program's name) and exits."""
    words = list(sys.argv[1:] if words is None else words)
    debug = "--debug" in words  # anywhere, so that it can be put behind a command that has failed
    words = [word for word in words if word != "--debug"]
    try:
        command_line(words)(args=words, prog_name="voice-agent")
        code: int | str | None = 0
    except SystemExit as exit_:
        code = exit_.code
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last border: whatever it is becomes one line
        code = _tell(error, debug=debug)
    sys.exit(code if _flushed() else code or EXIT_ERROR)


def command_line(words: Sequence[str]) -> typer.Typer:
    """The typer app for `words`. Imports only the subcommand that they name, or all when they name none (--help, a slip)."""
    app = typer.Typer(
        name="voice-agent",
        help="A self-hosted real-time voice agent. `voice-agent talk` holds a conversation.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,  # errors of usage in plain lines, without boxes
        pretty_exceptions_enable=False,
    )
    app.callback()(_root)
    named = next((word for word in words if not word.startswith("-")), "")
    for name in [named] if named in COMMANDS else COMMANDS:
        _register(app, name)
    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # 20 ms

        typer.echo(f"voice-agent {version('voice-agent')}")
        raise typer.Exit


def _root(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error. May stand anywhere.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Only declares the options: `main` takes care of --debug, the callback of --version."""


def _register(app: typer.Typer, name: str) -> None:
    module, _, attribute = COMMANDS[name].partition(":")
    if importlib.util.find_spec(module) is None:
        return  # an installation without this part
    command = getattr(importlib.import_module(module), attribute)
    if isinstance(command, typer.Typer):
        app.add_typer(command, name=name)
    else:
        app.command(name)(command)


def _tell(error: Exception, *, debug: bool) -> int:
    """Says on stderr what went wrong, in one line; returns the exit code."""
    if debug:
        traceback.print_exception(error)
    if _held(error, BrokenPipeError) is not None:
        return EXIT_ERROR  # the reader of what we print has gone (`… | head`) and wants to hear no more
    known = _held(error, VoiceAgentError)
    if known is not None:
        typer.echo(f"error: {' '.join(str(known).split())}", err=True)
        return EXIT_ERROR
    full = _held(error, OSError)
    if full is not None and full.errno == errno.ENOSPC:
        _tell_full_disk()
        return EXIT_ERROR
    # Not the error's own text: it may hold a key, or what somebody said.
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{os.path.basename(os.path.dirname(frame.filename))}/{os.path.basename(frame.filename)}:{frame.lineno}"
    details = "" if debug else " Run it again with --debug for the details."
    typer.echo(f"internal error: {type(error).__name__} in {place}.{details}", err=True)
    return EXIT_INTERNAL


def _held(error: BaseException, kind: type[E]) -> E | None:
    """The error of this kind that `error` is or, where it comes from a task group, holds."""
    if isinstance(error, kind):
        return error
    if isinstance(error, BaseExceptionGroup):
        return next((found for inner in error.exceptions if (found := _held(inner, kind)) is not None), None)
    return None


def _tell_full_disk() -> None:
    typer.echo("error: What is printed cannot be written (no space left on device). Free some space.", err=True)


def _flushed() -> bool:
    """Whether all that was printed has arrived. A reader that has gone is no error, not even at the interpreter's own last
    flush; a full disk is one."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno == errno.ENOSPC:
            _tell_full_disk()
        return isinstance(error, BrokenPipeError)
    return True
