"""Parse a command line, run its command, and turn every outcome into an exit code.

0: done. 1: an error, in words (or as JSON). 2: wrong usage. 130: interrupted from the keyboard.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import typer

from localai_app import __version__, errors
from localai_app.bootstrap import LaunchOptions
from localai_app.cli import chat_commands, machine_commands, model_commands
from localai_app.cli.output import Output
from localai_app.cli.session import Session
from localai_app.errors import AppError
from localai_app.log import setup_logging
from localai_app.paths import app_paths

log = logging.getLogger(__name__)

SELF_CHECK_FLAG = "--self-check"
EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

UNEXPECTED = errors.ErrorSpec(
    "unexpected", "Local AI met an error that it did not expect.", "See the log file {log_file} for the details.")

app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="Local AI: run language models on your own computer. Without a command the window opens.",
    epilog="Everywhere: --json prints one JSON document; --data-dir DIR keeps all files of the program in DIR; "
           "--catalog FILE uses another catalog of models; --verbose writes more into the log.")
machine_commands.register(app)
model_commands.register(app)
chat_commands.register(app)


def run_command(arguments: Sequence[str]) -> int:
    """Run the command that `arguments` name; returns the exit code."""
    output = Output(is_json="--json" in arguments)
    try:
        launch, rest = _take_global_options(list(arguments))
    except typer.TyperException as error:
        return _report_usage(output, error)
    if rest == ["--version"]:
        print(f"localai-app {__version__}")
        return 0
    paths = app_paths(launch.data_dir)
    setup_logging(paths, verbose=launch.verbose)
    try:
        return _run(rest, Session(launch, output))
    except typer.TyperException as error:
        return _report_usage(output, error)
    except (typer.Abort, KeyboardInterrupt):
        output.say("Stopped.")
        return EXIT_INTERRUPTED
    except AppError as error:
        log.info("command failed: %s (%s)", error, error.detail)
        output.error(error)
    except Exception:
        log.exception("command failed unexpectedly")
        output.error(AppError(UNEXPECTED, log_file=paths.log_file))
    return EXIT_ERROR


def _run(arguments: list[str], session: Session) -> int:
    if SELF_CHECK_FLAG in arguments:
        from localai_app.cli.self_check import run_self_check

        return run_self_check(session.launch, session.output)
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
    message = error.format_message()
    context = getattr(error, "ctx", None)
    action = f"See `{context.command_path if context is not None else 'localai-app'} --help`."
    if output.is_json:
        output.document({"error": {"code": "usage", "message": message, "action": action}})
    else:
        output.say(f"{message}\n{action}")
    return EXIT_USAGE
