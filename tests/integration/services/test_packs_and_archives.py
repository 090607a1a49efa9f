"""The downloaded archive of a runtime pack: what it costs, and when it goes."""

from __future__ import annotations

import errno
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from localai_app.services.packs import installer as installer_module
from tests.helpers.file_server import file_server
from tests.helpers.packs import ENGINE_ID, PackBench, quiet_job
from tests.helpers.services_fixture import wait_until

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the stand-ins are made for Linux")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackBench]:
    with file_server() as server:
        yield PackBench(tmp_path, server, monkeypatch)


def is_idle() -> bool:
    return not any(thread.name == "packs" for thread in threading.enumerate())


def test_an_archive_that_arrived_needs_no_room_again(bench: PackBench, monkeypatch: pytest.MonkeyPatch) -> None:
    entry, archive = bench.pack()
    bench.publish((entry, archive))
    downloads = bench.paths.cache / "packs"
    downloads.mkdir(parents=True)
    (downloads / f"extra-{entry['archive']['sha256'][:16]}.tar.xz").write_bytes(archive.read_bytes())
    monkeypatch.setattr(
        installer_module, "free_bytes", lambda _folder: entry["unpacked_bytes"] + installer_module.SPACE_FLOOR_BYTES)
    bench.service().work.install("extra", quiet_job())


def test_an_archive_that_a_scanner_holds_hinders_nothing(bench: PackBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows deletes no file that somebody reads."""
    bench.publish(bench.pack())
    unlink = Path.unlink

    def refuse(self: Path, missing_ok: bool = False) -> None:
        if self.name.endswith(".tar.xz"):
            raise PermissionError(errno.EACCES, "in use")
        unlink(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    service = bench.service()
    service.start()
    try:
        wait_until(is_idle)
        service.look()
        wait_until(is_idle)
        service.install((service.state.offers or ())[0])
        wait_until(is_idle, timeout_s=60)
        assert service.state.news == "Extra 1.0 is installed."
    finally:
        service.close()
    assert bench.runtimes_in_use()[f"{ENGINE_ID}/haswell"]
