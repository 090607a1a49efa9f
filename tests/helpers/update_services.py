"""A program that looks for newer versions on a server of this computer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from localai_app.paths import AppPaths, app_paths
from localai_app.release.memory import SeenNumbers
from localai_app.release.trust import Trust
from localai_app.services.events import EventBus
from localai_app.services.installation import Installation, InstallationKind
from localai_app.services.settings_service import SettingsService
from localai_app.services.signed_fetch import SignedFetch
from localai_app.services.source_download import FetchOptions
from localai_app.services.update_memory import UpdateMemory
from localai_app.services.update_source import UpdateSource
from localai_app.services.update_steps import UpdateSteps
from localai_app.services.updates import UpdateService
from localai_app.settings.file import SettingsFile
from tests.helpers.file_server import FileServer, file_server
from tests.helpers.signing import SigningKey, artefact, release, trust_in

QUICK = FetchOptions(document_s=2.0, stall_s=2.0, max_failures=2, first_pause_s=0.01, max_pause_s=0.02)
PACKAGE = b"package of the next version" * 5000
DEB = Installation(InstallationKind.DEB, "linux-x64")


@dataclass
class Publisher:
    """A server with a key, and what it publishes."""

    server: FileServer
    key: SigningKey

    def publish(self, number: int = 1, version: str = "99.0", *, content: bytes = PACKAGE, **changes: Any) -> None:
        """Serve a release with a .deb, and the file."""
        files = [artefact(content)]
        self.server.serve("/release.json", self.key.sign(release(number, version, **{"artefacts": files, **changes})))
        self.server.serve("/files/localai-app.deb", content)

    def count(self, path: str = "/release.json") -> int:
        """How often an address was asked."""
        return sum(request.path == path for request in self.server.requests)


@contextmanager
def publisher() -> Iterator[Publisher]:
    """A publisher for one test."""
    with file_server() as server:
        yield Publisher(server, SigningKey())


@dataclass
class Program:
    """The parts of the program that updates need, over a private data folder."""

    folder: Path
    events: EventBus
    settings: SettingsService
    memory: UpdateMemory
    updates: UpdateService


def update_service(
    paths: AppPaths, events: EventBus, settings: SettingsService, trust: Trust, *, installation: Installation = DEB,
    version: str = "0.1.0", first_look_s: float = 0.0,
) -> UpdateService:
    """The real service, with less patience than the program's."""
    memory = UpdateMemory(paths.update_record, paths.update_list)
    fetch = SignedFetch(trust, SeenNumbers(paths.seen_documents), lambda: settings.text("proxy"), QUICK)
    source = UpdateSource(fetch, memory, paths.updates, version, installation)
    return UpdateService(events, UpdateSteps(events, settings, source, memory), source, memory, first_look_s=first_look_s)


@contextmanager
def program(folder: Path, publisher: Publisher | None, **options: Any) -> Iterator[Program]:
    """One run of the program; without a publisher it is a build that has no address. `options` as in `update_service`."""
    paths, events = app_paths(folder), EventBus()
    settings = SettingsService(SettingsFile(paths.settings_file), events, paths)
    trust = trust_in() if publisher is None else trust_in(
        publisher.key, release_url=f"{publisher.server.url}/release.json")
    updates = update_service(paths, events, settings, trust, **options)
    try:
        yield Program(folder, events, settings, UpdateMemory(paths.update_record, paths.update_list), updates)
    finally:
        updates.close()


def a_day_passes(running: Program) -> None:
    """As if somebody had been asked the day before."""
    remembered = running.memory.read()
    if remembered.asked is not None:
        running.memory.write(replace(remembered, asked=remembered.asked - timedelta(days=1, seconds=5)))
