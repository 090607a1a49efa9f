"""What every command needs: the options of the whole program, the output, and services opened on demand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from localai_app.bootstrap import LaunchOptions, build_services
from localai_app.cli.output import Output
from localai_app.services.app_services import AppServices


class StoppedError(BaseException):
    """Somebody asked the program to end: Ctrl-C, or SIGTERM. Not a KeyboardInterrupt, which libraries catch."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


class Session:
    """Handed to every command through the command-line library's context."""

    def __init__(self, launch: LaunchOptions, output: Output) -> None:
        self.launch = launch
        self.output = output

    @contextmanager
    def services(self) -> Iterator[AppServices]:
        """Open the services for one command and close them after it."""
        services = build_services(self.launch)
        for notice in (services.settings.notice, services.store.notice):
            if notice is not None:
                self.output.say(f"{notice.message} {notice.action}")
        try:
            yield services
        finally:
            services.close()
