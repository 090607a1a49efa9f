"""The builds of llama.cpp on this computer, as data: where their libraries lie and which back ends each can load.

Nothing here loads a library. A build is the installed package, or a folder with `engine.json`: a manifest that lists every
file with its size and SHA-256, so that a file that was cut off, swapped or added is refused before the system's loader sees it.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import msgspec

from localai_app.engine.pack_folder import is_pack, read_verified, superseded
from localai_app.engine.variants import backend_name, rank

MANIFEST_NAME = "engine.json"
INSTALLED_ID = "installed"
_PACKAGE, _DISTRIBUTION = "llama_cpp", "llama-cpp-python"
_MOST_MANIFEST_BYTES = 1024 * 1024
_LIBRARY_SUFFIXES = (".so", ".dll", ".dylib")


class ManifestFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a build; `path` is relative to the manifest, with forward slashes."""

    path: str
    size_bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What `engine.json` says."""

    engine_id: str
    bindings: str
    """Version of llama-cpp-python whose structures match; others would read memory at wrong places."""
    files: tuple[ManifestFile, ...]
    label: str = ""
    backends: tuple[str, ...] = ()
    """Back ends to load, from `files`. Empty: they are part of the libraries."""
    preload: tuple[str, ...] = ()
    """Libraries, from `files`, to load before the back ends, in this order: what those need and the system may not have."""
    adds_to: str = ""
    """`engine_id` of the build that these back ends belong to; empty for a build of its own."""
    platform: str = ""
    """`linux-x64` and so on."""
    commit: str = ""
    """llama.cpp's, shortened."""
    source_sha256: str = ""
    """Of the archive with the sources."""
    patches: tuple[str, ...] = ()
    """Names of what was changed in the sources, in packaging/patches."""
    flags: tuple[str, ...] = ()
    """CMake's, as far as they decide the result."""
    made_with: tuple[str, ...] = ()
    """Compilers with their versions."""


@dataclass(frozen=True, slots=True)
class Build:
    """One build. `backends` are empty where the libraries contain them."""

    engine_id: str
    label: str
    library_dir: Path
    backends: tuple[Path, ...]
    fingerprint: str
    """Changes with any file's name, size or time of change."""
    contains_gpu: bool = False
    """Whether its libraries themselves contain a back end for GPUs."""
    preload: tuple[Path, ...] = ()
    """Loaded before its own back ends."""
    additions: tuple[Build, ...] = ()
    """Packs that were added: their back ends are among `backends` too."""

    @property
    def processors(self) -> tuple[Path, ...]:
        """The variants for the processor, the one with most instructions first."""
        found = [path for path in self.backends if backend_name(path).split("-")[0] == "cpu"]
        return tuple(sorted(found, key=lambda path: (rank(_variant(path)), path.name)))

    @property
    def graphics(self) -> tuple[Path, ...]:
        """Back ends for GPUs."""
        return tuple(path for path in self.backends if _is_for_gpus(path))

    @property
    def companions(self) -> tuple[Path, ...]:
        """Loaded with every choice: what uses devices of other computers."""
        return tuple(path for path in self.backends if backend_name(path) == "rpc")


@dataclass(frozen=True, slots=True)
class Runtime:
    """One way to run: a build with the back ends that are loaded, in their order."""

    build: Build
    backends: tuple[Path, ...] = ()
    uses_gpu: bool = False

    @property
    def key(self) -> str:
        """A name that is the same at the next start: `installed`, `installed/cpu`, `ID/haswell`, `ID/cuda+haswell`."""
        names = [backend_name(path).removeprefix("cpu-") for path in self.backends if backend_name(path) != "rpc"]
        return f"{self.build.engine_id}/{'+'.join(names) or ('gpu' if self.uses_gpu else 'cpu')}"

    @property
    def additions(self) -> tuple[Build, ...]:
        """The packs of which it loads something."""
        return tuple(addition for addition in self.build.additions if set(addition.backends) & set(self.backends))

    @property
    def fingerprint(self) -> str:
        """Changes with any file of the build and of the packs that it uses."""
        joined = "".join((self.build.fingerprint, *(addition.fingerprint for addition in self.additions)))
        return hashlib.sha256(joined.encode()).hexdigest()[:16] if self.additions else self.build.fingerprint

    @property
    def preload(self) -> tuple[Path, ...]:
        """Libraries that are loaded before the back ends, in their order."""
        own = set(self.build.backends) - {path for addition in self.build.additions for path in addition.backends}
        first = self.build.preload if own & set(self.backends) else ()
        return (*first, *(path for addition in self.additions for path in addition.preload))

    @property
    def variant(self) -> str:
        """Of the processor's back end: `haswell`; empty where there is one for all."""
        return next((_variant(path) for path in self.backends if backend_name(path).startswith("cpu-")), "")

    @property
    def options(self) -> tuple[str, ...]:
        """What the worker's command line says of it."""
        words = ["--library-dir", str(self.build.library_dir)]
        for path in self.preload:
            words += ["--preload-file", str(path)]
        for path in self.backends:
            words += ["--backend-file", str(path)]
        return (*words, *(() if self.uses_gpu else ("--no-gpu",)))


@dataclass(frozen=True, slots=True)
class Refused:
    """A folder, or one back end of a build, that is not used, and why."""

    folder: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Discovery:
    """What was found: the builds, the newest folders first and the installed package last, and what was refused."""

    builds: tuple[Build, ...]
    refused: tuple[Refused, ...] = ()
    verified: tuple[str, ...] = ()
    """Fingerprints of the folders whose every file is as its manifest says."""


def discover(folders: Iterable[Path], verified: frozenset[str] = frozenset()) -> Discovery:
    """Every build in these folders, each in a folder of its own or one deeper, and the installed package.

    Files are read and hashed, but for builds whose fingerprint is in `verified`.
    """
    builds: list[tuple[Manifest, Build]] = []
    additions: list[tuple[Manifest, Build]] = []
    refused: list[Refused] = []
    sound: list[str] = []
    for manifest_path in _manifests(folders):
        try:
            _require_finished(manifest_path.parent)
            manifest = _read_manifest(manifest_path)
            build, faults = _build_of(manifest, manifest_path.parent, verified)
        except (OSError, ValueError) as error:
            refused.append(Refused(manifest_path.parent, str(error)))
            continue
        refused += faults
        sound += [] if faults else [build.fingerprint]
        (additions if manifest.adds_to else builds).append((manifest, build))
    found = [build for _manifest, build in builds]
    for manifest, addition in additions:
        position = next((at for at, build in enumerate(found) if build.engine_id == manifest.adds_to), None)
        if position is None:
            refused.append(Refused(addition.library_dir, f"it belongs to the build {manifest.adds_to}, which is not here"))
        else:
            found[position] = with_addition(found[position], addition)
    installed = installed_package()
    return Discovery((*found, *((installed,) if installed is not None else ())), tuple(refused), tuple(sound))


def read_build(folder: Path, verified: frozenset[str] = frozenset()) -> tuple[Manifest, Build]:
    """The build or pack in a folder with its manifest; OSError, ValueError with the reason where anything differs from it."""
    manifest = _read_manifest(folder / MANIFEST_NAME)
    build, faults = _build_of(manifest, folder, verified)
    if faults:
        raise ValueError(faults[0].reason)
    return manifest, build


def with_addition(build: Build, addition: Build) -> Build:
    """The build with the back ends of a pack that belongs to it."""
    return replace(build, backends=(*build.backends, *addition.backends), additions=(*build.additions, addition))


def alone(build: Build) -> Build:
    """The build without what was added."""
    added = {path for addition in build.additions for path in addition.backends}
    return replace(build, backends=tuple(path for path in build.backends if path not in added), additions=())


def addition_runtimes(build: Build, addition: Build, processor: Runtime) -> tuple[Runtime, ...]:
    """The ways to run that a pack adds to a build: each back end for GPUs beside `processor`, each variant by itself."""
    joined = with_addition(alone(build), addition)
    graphics = tuple(Runtime(joined, (path, *processor.backends), uses_gpu=True) for path in addition.graphics)
    variants = tuple(Runtime(joined, (path, *joined.companions)) for path in addition.processors)
    others = set(addition.backends) - set(addition.graphics) - set(addition.processors)
    return (*graphics, *variants, *(Runtime(joined, (*processor.backends, path)) for path in sorted(others)))


def installed_package() -> Build | None:
    """The package llama_cpp with its own libraries; None where it is not installed."""
    try:
        spec = importlib.util.find_spec(_PACKAGE)
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(next(iter(spec.submodule_search_locations))).resolve() / "lib"
    if not folder.is_dir():
        return None
    libraries = sorted(path for path in folder.iterdir() if path.suffix in _LIBRARY_SUFFIXES)
    # Back ends that libggml contains are linked to, and lie there as libggml-cpu.so: only variants are for loading.
    is_loadable = any(backend_name(path).startswith("cpu-") for path in libraries)
    loadable = tuple(path for path in libraries if _is_backend(path)) if is_loadable else ()
    return Build(
        INSTALLED_ID, f"llama-cpp-python {bindings_version()}", folder, loadable,
        _fingerprint(folder, sorted(path for path in folder.iterdir() if path.is_file())),
        not loadable and any(_is_for_gpus(path) for path in libraries))


def bindings_version() -> str:
    """The installed version of llama-cpp-python; empty where there is none."""
    try:
        return importlib.metadata.version(_DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return ""


def processor_runtimes(build: Build) -> tuple[Runtime, ...]:
    """The ways to run on the processor alone, to be tried in this order."""
    if not build.backends:
        return (Runtime(build),)
    return tuple(Runtime(build, (path, *build.companions)) for path in build.processors)


def gpu_runtimes(build: Build, processor: Runtime) -> tuple[Runtime, ...]:
    """The ways to run with a GPU, beside what is best for the processor."""
    if not build.backends:
        return (Runtime(build, uses_gpu=True),) if build.contains_gpu else ()
    return tuple(Runtime(build, (path, *processor.backends), uses_gpu=True) for path in build.graphics)


def _manifests(folders: Iterable[Path]) -> list[Path]:
    """All of them but those of folders with a dot, where packs are unpacked, and of packs with a newer version."""
    found: list[Path] = []
    for folder in folders:
        if folder.is_dir():
            here = sorted((*folder.glob(f"*/{MANIFEST_NAME}"), *folder.glob(f"*/*/{MANIFEST_NAME}")), reverse=True)
            found += [path for path in here if not any(part[0] == "." for part in path.relative_to(folder).parts)]
    old = superseded(path.parent for path in found)
    return [path for path in found if path.parent not in old]


def _require_finished(folder: Path) -> None:
    if is_pack(folder) and read_verified(folder) is None:
        raise ValueError("its installation was not finished, or it was removed")


def _read_manifest(path: Path) -> Manifest:
    with path.open("rb") as file:
        data = file.read(_MOST_MANIFEST_BYTES + 1)
    if len(data) > _MOST_MANIFEST_BYTES:
        raise ValueError(f"its {MANIFEST_NAME} is too long")
    try:
        return msgspec.json.decode(data, type=Manifest)
    except msgspec.MsgspecError as error:
        raise ValueError(f"its {MANIFEST_NAME} cannot be read ({error})") from error


def _build_of(manifest: Manifest, folder: Path, verified: frozenset[str]) -> tuple[Build, list[Refused]]:
    """The build without those of its back ends that are damaged; ValueError with the reason where it cannot be used at all."""
    if manifest.bindings != bindings_version():
        installed = bindings_version() or "none"
        raise ValueError(f"it is made for llama-cpp-python {manifest.bindings}, and {installed} is installed")
    paths = {entry.path: _inside(folder, entry.path) for entry in manifest.files}
    unknown = sorted(str(path.relative_to(folder)) for path in _libraries_in(folder) if path not in paths.values())
    unknown += sorted({*manifest.backends, *manifest.preload} - set(paths))
    if unknown:
        raise ValueError(f"{unknown[0]} is not in its {MANIFEST_NAME}")
    present = [path for path in paths.values() if path.is_file()]
    fingerprint = _fingerprint(folder, present)
    is_read = fingerprint not in verified or len(present) < len(paths)
    faults = {entry.path: fault for entry in manifest.files if (fault := _fault_of(entry, paths[entry.path], is_read))}
    backends = tuple(paths[name] for name in manifest.backends if name not in faults)
    is_usable = any(backend_name(path).startswith("cpu") for path in backends)
    essential = [fault for name, fault in faults.items() if name not in manifest.backends or not is_usable]
    if essential:
        raise ValueError(essential[0])
    build = Build(
        manifest.engine_id, manifest.label or manifest.engine_id, folder.resolve(), backends, fingerprint,
        not manifest.backends and any(_is_for_gpus(path) for path in paths.values()),
        tuple(paths[name] for name in manifest.preload))
    return build, [Refused(paths[name], fault) for name, fault in faults.items()]


def _fault_of(entry: ManifestFile, path: Path, is_read: bool) -> str:
    """What is wrong with a file; its checksum is computed where `is_read` says so."""
    if not path.is_file():
        return f"{entry.path} is missing"
    if path.stat().st_size != entry.size_bytes:
        return f"{entry.path} has {path.stat().st_size} bytes instead of {entry.size_bytes}"
    if is_read and _sha256(path) != entry.sha256:
        return f"{entry.path} is damaged: its checksum is not the one in {MANIFEST_NAME}"
    return ""


def _inside(folder: Path, name: str) -> Path:
    """The absolute path of a file of the build; ValueError for one that is not inside its folder."""
    relative = PurePosixPath(name)
    is_plain = not (relative.is_absolute() or "\\" in name or "\0" in name)
    path = (folder / relative).resolve() if is_plain else folder
    if not is_plain or not path.is_relative_to(folder.resolve()):
        raise ValueError(f"its {MANIFEST_NAME} names a file outside its folder")
    return path


def _libraries_in(folder: Path) -> list[Path]:
    """All of them, however their names are written: Windows loads an `X.DLL` too."""
    return [
        path.resolve() for path in folder.rglob("*")
        if path.is_file() and {ending.lower() for ending in path.suffixes} & set(_LIBRARY_SUFFIXES)]


def _fingerprint(folder: Path, paths: Sequence[Path]) -> str:
    facts = []
    for path in paths:
        status = path.stat()
        facts.append(f"{path.relative_to(folder.resolve())}:{status.st_size}:{status.st_mtime_ns}")
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_backend(path: Path) -> bool:
    return path.name.removeprefix("lib").startswith("ggml-") and backend_name(path) != "base"


def _is_for_gpus(path: Path) -> bool:
    return _is_backend(path) and backend_name(path).split("-")[0] not in ("cpu", "rpc", "blas")


def _variant(path: Path) -> str:
    return backend_name(path).removeprefix("cpu-")
