"""Which crashes of the engine count against a new version of a runtime pack."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from localai_app.engine.outcome import OutcomeKind, WorkerOutcome
from localai_app.engine.pack_folder import PACK_NAME, VERIFIED_NAME, Verified
from localai_app.engine.runtimes import Build, Runtime
from localai_app.services.events import EventBus, RuntimesChanged, WorkerDied
from localai_app.services.packs.folders import PackFolders
from localai_app.services.packs.keeper import PackKeeper
from localai_app.services.packs.trial import PackTrial
from localai_app.services.runtimes import RuntimeRow

ENGINE_ID = "lcpp-1"


class Computer:
    """A folder of packs, and a keeper that watches over it; the newest version is what computes."""

    def __init__(self, root: Path) -> None:
        self.events = EventBus()
        (root / "disk").mkdir()
        if sys.platform != "win32":
            (root / "data").symlink_to(root / "disk")
        self.folders = PackFolders(root / "data" / "runtimes")
        self.keeper = PackKeeper(
            self.events, self.folders, PackTrial(self.rows, root, root), self.rows, lambda: None)
        self.engine_id = ENGINE_ID
        self.is_pack_used = True
        self.install(1)

    def install(self, order: int) -> None:
        folder = self.folders.root / ENGINE_ID / f"extra-{order}"
        folder.mkdir(parents=True)
        (folder / PACK_NAME).write_text("{}")
        (folder / VERIFIED_NAME).write_bytes(msgspec.json.encode(Verified(
            pack_id="extra", engine_id=ENGINE_ID, version=f"{order}.0", label="Extra", archive_sha256="", size_bytes=1,
            installed_s=0.0, order=order)))

    def rows(self) -> list[RuntimeRow]:
        current = next(each.folder for each in self.folders.installed() if each.is_current)
        backend = current / "libggml-cuda.so"
        addition = Build("extra", "Extra", current.resolve(), (backend,), "")
        additions = (addition,) if self.is_pack_used else ()
        build = Build(self.engine_id, "Engine", self.folders.root.parent, (backend,), "", additions=additions)
        return [RuntimeRow(Runtime(build, (backend,), uses_gpu=True), None, True)]

    def dies(self, number: int, kind: OutcomeKind = OutcomeKind.SIGNAL) -> None:
        """A worker dies, and what the keeper does about that is done."""
        self.events.publish(WorkerDied("model", WorkerOutcome(kind, None, number, "")))
        self.settle()

    def settle(self) -> None:
        """Wait for what the keeper does."""
        for thread in threading.enumerate():
            if thread.name == "packs-keeper":
                thread.join()

    def versions(self) -> list[str]:
        return [each.verified.version for each in self.folders.installed()]


@pytest.fixture
def computer(tmp_path: Path) -> Iterator[Computer]:
    made = Computer(tmp_path)
    made.keeper.start()
    yield made
    made.keeper.close()


def test_a_new_version_that_crashes_twice_gives_way(computer: Computer) -> None:
    computer.install(2)
    computer.dies(signal.SIGSEGV)
    assert computer.versions() == ["2.0", "1.0"]
    computer.dies(signal.SIGABRT)
    assert computer.versions() == ["1.0"]


@pytest.mark.parametrize("number", [9, signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_is_killed_from_outside_says_nothing_of_a_version(computer: Computer, number: int) -> None:
    """As the system does where memory runs short."""
    computer.install(2)
    for _time in range(3):
        computer.dies(number)
    assert computer.versions() == ["2.0", "1.0"]


def test_crashes_of_the_version_before_are_not_the_new_ones_fault(computer: Computer) -> None:
    """They may be why somebody looked for a newer one."""
    for _time in range(3):
        computer.dies(signal.SIGSEGV)
    computer.install(2)
    computer.dies(signal.SIGSEGV)
    assert computer.versions() == ["2.0", "1.0"]
    computer.dies(signal.SIGSEGV)
    assert computer.versions() == ["1.0"]


@pytest.mark.parametrize("is_seen_at_the_start", [True, False])
def test_a_version_whose_files_are_damaged_gives_way(computer: Computer, is_seen_at_the_start: bool) -> None:
    """As where a scanner took one of them away: then it is left out when builds are looked for, and is in no row."""
    computer.install(2)
    computer.is_pack_used = False
    if is_seen_at_the_start:
        computer.keeper.start()
    else:
        computer.events.publish(RuntimesChanged())
    computer.settle()
    assert computer.versions() == ["1.0"]


def test_a_pack_of_an_engine_that_is_not_here_is_left_alone(computer: Computer) -> None:
    """It may belong to another version of the program, which shares the data folder."""
    computer.install(2)
    computer.is_pack_used, computer.engine_id = False, "lcpp-2"
    computer.events.publish(RuntimesChanged())
    computer.settle()
    assert computer.versions() == ["2.0", "1.0"]
