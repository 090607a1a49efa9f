"""Runtime packs for tests: really compiled back ends, archived by the tool that makes packs, signed and served."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from localai_app.engine import runtimes as engine_runtimes
from localai_app.engine.runtimes import bindings_version
from localai_app.hardware.report import Cpu, Gpu, HardwareReport, Memory, Vendor
from localai_app.paths import app_paths
from localai_app.progress import Progress
from localai_app.release.envelope import PublicKey
from localai_app.release.memory import SeenNumbers
from localai_app.release.trust import Trust
from localai_app.services.events import ErrorHappened, Event, EventBus
from localai_app.services.packs.assembly import build_packs
from localai_app.services.packs.installer import Job, Phase
from localai_app.services.packs.pack_service import PackService
from localai_app.services.runtimes import RuntimeService
from localai_app.services.signed_fetch import SignedFetch
from localai_app.services.source_download import FetchOptions
from tests.helpers.file_server import FileServer
from tests.helpers.runtime_builds import PASSES, compile_backend, copy_libraries, library_folder, write_manifest
from tests.helpers.signing import SigningKey, packs
from tools.package.pack_archive import MANIFEST_NAME, Pack, entry_of, lay_out, write_archive

ENGINE_ID = "lcpp-1"
PLATFORM = "linux-x64"
COMPUTER = HardwareReport(
    system="linux", cpu=Cpu(model="Test", architecture="x86_64", physical_cores=2, logical_cores=2, instruction_sets=("avx2",)),
    memory=Memory(total_bytes=2**34, available_bytes=2**33))
CRASHING = "volatile int *nowhere = nullptr; *nowhere = 1;"
PRINTING = 'printf("{\\"type\\":\\"ready\\"}\\n"); fflush(stdout);'
HANGING = "for (;;) sleep(1);"


def nvidia_card(**changes: Any) -> Gpu:
    """A card that gains from a CUDA pack."""
    return Gpu(**{
        "index": 0, "name": "NVIDIA GeForce RTX 4090", "vendor": Vendor.NVIDIA, "total_bytes": 24 << 30, "free_bytes": 22 << 30,
        "driver": "580.95.05", "compute_capability": "8.9", "source": "nvml", **changes})


class PackBench:
    """A computer with one build of llama.cpp, a server with packs, and the services that install them."""

    def __init__(
        self, root: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch, engine: Path | None = None,
    ) -> None:
        """`engine` in `root`/engine, else one that is made of the installed libraries."""
        library_folder()
        self.key = SigningKey()
        self.server = server
        self.number = 1
        self.join(root, server.url, monkeypatch, self.key.public)
        if engine is None:
            engine = copy_libraries(root / "engine" / ENGINE_ID)
            write_manifest(engine, ENGINE_ID, [compile_backend(engine, "x64", PASSES)])
        self.engine = engine

    def join(self, root: Path, url: str, monkeypatch: pytest.MonkeyPatch, key: PublicKey) -> None:
        """Be the same computer in another process."""
        monkeypatch.setattr(engine_runtimes, "installed_package", lambda: None)
        monkeypatch.setattr("localai_app.services.runtime_records.installed_engines_dir", lambda: root / "engine")
        self.root = root
        self.trust = Trust((key,), packs_url=f"{url}/packs.json")
        self.paths = app_paths(root / "data")
        self.report = COMPUTER
        self.events: list[Event] = []
        self.bus = EventBus()
        self.bus.subscribe(self.events.append)
        self.deadlines_s = (30.0, 30.0)

    @property
    def sentences(self) -> list[str]:
        """Errors that were published."""
        return [event.error.message for event in self.events if isinstance(event, ErrorHappened)]

    @property
    def marker(self) -> Path:
        """Written by whatever process loads the back end of a marked pack: one process id a line."""
        return self.root / "loaded"

    def loaded_by(self) -> list[int]:
        """The processes that loaded a marked back end."""
        return [int(line) for line in self.marker.read_text().split()] if self.marker.exists() else []

    def service(self) -> PackService:
        """The services of another start of the program."""
        fetch = SignedFetch(
            self.trust, SeenNumbers(self.paths.seen_documents), lambda: "",
            FetchOptions(first_pause_s=0.01, max_pause_s=0.05))
        self.runtimes = RuntimeService(self.bus, self.paths, lambda: self.report)
        return build_packs(
            self.bus, self.paths, self.runtimes, fetch, PLATFORM, deadlines_s=self.deadlines_s)

    def runtimes_in_use(self) -> dict[str, bool]:
        """Every way to run by its key, and whether it passed, as another start of the program sees it."""
        service = RuntimeService(self.bus, self.paths, lambda: self.report)
        service.test_all(again=False)
        return {row.runtime.key: row.result is not None and row.result.passed for row in service.rows()}

    def backend(self, name: str = "haswell", body: str = PASSES, constructor: str = "") -> Path:
        """A compiled back end that marks that it was loaded, then does `constructor`."""
        folder = self.root / f"made-{name}-{len(list(self.root.iterdir()))}"
        folder.mkdir()
        declares = (
            "#include <stdio.h>\n__attribute__((constructor)) static void run(void) {"
            f' FILE * file = fopen("{self.marker}", "a"); if (file) {{ fprintf(file, "%d\\n", getpid()); fclose(file); }}'
            f" {constructor} }}")
        made = compile_backend(folder, name, body, declares=declares, library_folder=self.engine)
        return folder / made

    def pack(
        self, backend: Path | None = None, *, version: str = "1.0", adds_to: str = ENGINE_ID, name: str = "extra",
        more: Mapping[str, Path] | None = None, **changes: Any,
    ) -> tuple[dict[str, Any], Path]:
        """The entry and the archive of a pack with one back end; `changes` to the entry, after its making."""
        library = backend or self.backend()
        work = self.root / f"pack-{name}-{version}"
        work.mkdir(exist_ok=True)
        described = Pack(name, version, "Extra", PLATFORM, adds_to, bindings_version(), (library.name,))
        licence = self.root / "licence.txt"
        licence.write_text("free\n")
        folder = lay_out(described, {library.name: library, "licence.txt": licence, **(more or {})}, work / "files")
        archive = write_archive(folder, work / f"{described.name}.tar.xz")
        return {**entry_of(described, archive, folder, {"licence_file": "licence.txt"}), **changes}, archive

    def publish(self, *made: tuple[dict[str, Any], Path], **changes: Any) -> dict[str, Any]:
        """Put packs on the server with a signed list of them; the list."""
        document = packs(self.number, packs=[entry for entry, _archive in made], **changes)
        self.number += 1
        for entry, archive in made:
            self.server.serve(f"/{entry['archive']['url']}", archive.read_bytes())
        self.server.serve("/packs.json", self.key.sign_packs(document))
        return document

    def publish_unsigned_tree(self, folder: Path, name: str = "extra", version: str = "1.0") -> None:
        """Publish a pack whose files are as they lie in a folder, manifest and all."""
        described = Pack(name, version, "Extra", PLATFORM, ENGINE_ID, bindings_version(), ())
        archive = write_archive(folder, self.root / f"{name}-{version}.tar.xz")
        self.publish((entry_of(described, archive, folder, {}), archive))

    def tree(self) -> set[str]:
        """Every file below `runtimes`, but the lock."""
        root = self.paths.runtimes
        return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.name != ".packs.lock"}


def quiet_job() -> Job:
    """A job that tells nobody how far it is."""
    def on_step(_phase: Phase, _progress: Progress) -> None:
        return

    return Job(on_step)


def change_manifest(folder: Path, **changes: Any) -> None:
    """Change fields of an engine.json."""
    path = folder / MANIFEST_NAME
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
