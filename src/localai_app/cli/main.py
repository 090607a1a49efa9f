"""Parse a command line, run its command, and turn every outcome into an exit code.

0: done. 1: an error, in words (or as JSON). 2: wrong usage. 130: interrupted from the keyboard. 143: ended by SIGTERM.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import typer

from localai_app import __version__, errors
from localai_app.bootstrap import LaunchOptions
from localai_app.cli import (
    about_command,
    bench_command,
    chat_commands,
    compare_command,
    comparisons_command,
    judge_command,
    leaderboard_command,
    lend_command,
    load_commands,
    loss_commands,
    machine_commands,
    measurement_command,
    model_commands,
    packs_command,
    prompts_command,
    runtimes_command,
    tune_command,
    updates_command,
    what_if_command,
    why_slow_command,
)
from localai_app.cli.output import Output, prepare_streams
from localai_app.cli.session import Session, StoppedError
from localai_app.errors import AppError
from localai_app.log import setup_logging
from localai_app.paths import app_paths

log = logging.getLogger(__name__)

SELF_CHECK_FLAG = "--self-check"
EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143

UNEXPECTED = errors.ErrorSpec(
    "unexpected", "Local AI met an error that it did not expect.", "See the log file {log_file} for the details.")
STOPPED = errors.ErrorSpec("stopped", "Stopped.", "Run the same command again to go on.")

app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="Local AI: run language models on your own computer. Without a command the window opens.",
    epilog="Everywhere: --json prints one JSON document; --data-dir DIR keeps all files of the program in DIR; "
           "--catalog FILE uses another catalog of models; --verbose writes more into the log.")
machine_commands.register(app)
measurement_command.register(app)
what_if_command.register(app)
model_commands.register(app)
chat_commands.register(app)
load_commands.register(app)
bench_command.register(app)
tune_command.register(app)
compare_command.register(app)
judge_command.register(app)
leaderboard_command.register(app)
comparisons_command.register(app)
runtimes_command.register(app)
packs_command.register(app)
why_slow_command.register(app)
lend_command.register(app)
loss_commands.register(app)
prompts_command.register(app)
about_command.register(app)
updates_command.register(app)


def run_command(arguments: Sequence[str]) -> int:
    """Run the command that `arguments` name; returns the exit code."""
    prepare_streams()
    output = Output(is_json="--json" in arguments)
    try:
        launch, rest = _take_global_options(list(arguments))
        if rest == ["--version"]:
            print(f"localai-app {__version__}")
            return 0
        with _stops_raised():
            return _run_logged(rest, Session(launch, output))
    except typer.TyperException as error:
        return _report_usage(output, error)
    except (typer.Abort, KeyboardInterrupt):
        return _report_stop(output, EXIT_INTERRUPTED)
    except StoppedError as stop:
        return _report_stop(output, stop.exit_code)


def _run_logged(arguments: list[str], session: Session) -> int:
    """Run a command; what goes wrong in it is reported, and its details are in the log."""
    paths = app_paths(session.launch.data_dir)
    setup_logging(paths, verbose=session.launch.verbose)
    try:
        return _run(arguments, session)
    except (typer.TyperException, typer.Abort):
        raise
    except AppError as error:
        log.info("command failed: %s (%s)", error, error.detail)
        session.output.error(error)
    except Exception:
        log.exception("command failed unexpectedly")
        session.output.error(AppError(UNEXPECTED, log_file=paths.log_file))
    return EXIT_ERROR


@contextmanager
def _stops_raised() -> Iterator[None]:
    """Inside the block, Ctrl-C and SIGTERM raise StoppedError, so that a command ends in order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    exit_codes = {signal.SIGINT: EXIT_INTERRUPTED, signal.SIGTERM: EXIT_TERMINATED}

    def stop(number: int, _frame: FrameType | None) -> None:
        raise StoppedError(exit_codes[signal.Signals(number)])

    before = {number: signal.signal(number, stop) for number in exit_codes}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _report_stop(output: Output, code: int) -> int:
    """Say that the command was stopped: one document on stdout as always, or a word on stderr."""
    if output.is_json:
        output.error(AppError(STOPPED))
    else:
        output.say(STOPPED.message)
    return code


def _run(arguments: list[str], session: Session) -> int:
    if SELF_CHECK_FLAG in arguments:
        from localai_app.cli.self_check import run_self_check

        return run_self_check(arguments, session.launch, session.output)
    command = typer.main.get_command(app)
    code = command.main(args=arguments, prog_name="localai-app", obj=session, standalone_mode=False)
    return code if isinstance(code, int) else 0


def _take_global_options(arguments: list[str]) -> tuple[LaunchOptions, list[str]]:
    """Take the options of the whole program out, wherever they stand before a `--`."""
    rest: list[str] = []
    values: dict[str, Path] = {}
    verbose = False
    index = 0
    while index < len(arguments):
        argument = arguments[index]
        name, equals, value = argument.partition("=")
        if argument == "--":
            rest += arguments[index:]
            break
        if name in ("--data-dir", "--catalog"):
            if not equals:
                index += 1
                if index == len(arguments) or arguments[index].startswith("--"):
                    raise typer.BadParameter("a file or folder has to follow", param_hint=name)
                value = arguments[index]
            if not value:
                raise typer.BadParameter("a file or folder has to follow", param_hint=name)
            values[name] = Path(value)
        elif argument == "--verbose":
            verbose = True
        elif argument == "--json":
            pass
        else:
            rest.append(argument)
        index += 1
    return LaunchOptions(data_dir=values.get("--data-dir"), catalog=values.get("--catalog"), verbose=verbose), rest


def _report_usage(output: Output, error: typer.TyperException) -> int:
    message = error.format_message().replace("Value error, ", "", 1)  # the validator's own words for a wrong choice
    context = getattr(error, "ctx", None)
    action = f"See `{context.command_path if context is not None else 'localai-app'} --help`."
    if output.is_json:
        output.document({"error": {"code": "usage", "message": message, "action": action}})
    else:
        output.say(f"{message}\n{action}")
    return EXIT_USAGE
