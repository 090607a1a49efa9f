"""Start the window, a command, or an engine worker; imports only what the chosen one needs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

WORKER_FLAG = "--engine-worker"
SELF_CHECK_FLAG = "--self-check"
VERSION_FLAG = "--version"
COMMANDS = (
    "hardware", "suggest", "what-if", "search", "show", "fit", "pull", "models", "rm", "chat", "doctor", "settings",
)
CLI_FLAGS = ("--help", "-h", VERSION_FLAG, SELF_CHECK_FLAG)
GLOBAL_OPTIONS_WITH_VALUE = ("--data-dir", "--catalog")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == [WORKER_FLAG]:
        from localai_app.engine.worker.main import main as worker_main

        return worker_main(arguments[1:])
    if arguments == [VERSION_FLAG]:
        # Asked for by scripts and installers: nothing is imported for it.
        from localai_app import __version__

        print(f"localai-app {__version__}")
        return 0
    if _is_command(arguments):
        try:
            from localai_app.cli.main import run_command
        except KeyboardInterrupt:
            # Before the command line has begun, which ends commands in order.
            return 130
        return run_command(arguments)
    return _open_window(arguments)


def _is_command(arguments: list[str]) -> bool:
    """Whether the first word that is no global option is a command; files and links open in the window."""
    skip_next = False
    for argument in arguments:
        if skip_next:
            skip_next = False
        elif argument in CLI_FLAGS or argument in COMMANDS:
            return True
        elif argument in GLOBAL_OPTIONS_WITH_VALUE:
            skip_next = True
        elif not argument.startswith("-"):
            return not _opens_in_window(argument)
    return False


def _opens_in_window(argument: str) -> bool:
    return argument.startswith(("hf:", "https://")) or argument.lower().endswith(".gguf")


def _open_window(arguments: list[str]) -> int:
    import argparse

    from localai_app.bootstrap import LaunchOptions, build_services
    from localai_app.errors import AppError
    from localai_app.log import setup_logging
    from localai_app.paths import app_paths

    parser = argparse.ArgumentParser(prog="localai-app", description="Local AI: run language models on your own computer.")
    parser.add_argument("--data-dir", type=Path, help="folder for everything the program writes")
    parser.add_argument("--catalog", type=Path, help="another catalog of models")
    parser.add_argument("--verbose", action="store_true", help="write more into the log")
    parser.add_argument("target", nargs="?", help="a .gguf file or an hf: link to open")
    options = parser.parse_args(arguments)
    paths = app_paths(options.data_dir)
    setup_logging(paths, verbose=options.verbose)

    from localai_app.gui.app import run_window, show_start_error

    launch = LaunchOptions(data_dir=options.data_dir, catalog=options.catalog, verbose=options.verbose)
    try:
        return run_window(lambda: build_services(launch), paths, open_target=options.target)
    except AppError as error:
        return show_start_error(error)


if __name__ == "__main__":
    sys.exit(main())
