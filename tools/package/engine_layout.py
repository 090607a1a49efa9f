"""From a finished build of llama.cpp to the folder that the program reads: each library once, and `engine.json`."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from localai_app.engine.runtimes import MANIFEST_NAME, Manifest, ManifestFile
from tools.dev.console import StepError
from tools.package.engine_plan import UNSHIPPED, EnginePlan

BACKENDS = "backends"
LICENCE = "LICENSE-llama.cpp"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Of what and how an engine was made; all of it stands in its `engine.json`."""

    engine_id: str
    bindings: str
    commit: str
    source_sha256: str
    patches: tuple[str, ...]
    flags: tuple[str, ...]
    made_with: tuple[str, ...]


def lay_out(plan: EnginePlan, source: Path, built: Path, folder: Path, origin: Origin) -> None:
    """Fill `folder` from `built`, where the libraries of a build lie. StepError where one is missing or was not expected."""
    (folder / BACKENDS).mkdir(parents=True)
    for name, target in plan.libraries:
        _copy(built / name, folder / target)
    found = {path.name for path in built.glob(plan.backend_pattern.format("*")) if not _is_core(plan, path.name)}
    expected = set(plan.backends)
    unshipped = set(unshipped_backends(plan))
    if found - unshipped != expected:
        differing = ", ".join(sorted((found - unshipped) ^ expected))
        raise StepError(f"The build of llama.cpp has other back ends than tools/package/engine_plan.py says: {differing}.")
    for name in plan.backends:
        _copy(built / name, folder / BACKENDS / name)
    shutil.copyfile(source / "LICENSE", folder / LICENCE)
    write_manifest(folder, plan, origin)


def unshipped_backends(plan: EnginePlan) -> list[str]:
    """File names of the back ends that may be compiled and are left out."""
    return [plan.backend_pattern.format(f"cpu-{name}") for name in UNSHIPPED]


def write_manifest(folder: Path, plan: EnginePlan, origin: Origin) -> None:
    """`engine.json` for everything that lies in the folder."""
    manifest = Manifest(
        engine_id=origin.engine_id, bindings=origin.bindings, label=f"llama.cpp {origin.commit}", platform=plan.name,
        files=_entries(folder), backends=tuple(f"{BACKENDS}/{name}" for name in plan.backends),
        commit=origin.commit, source_sha256=origin.source_sha256, patches=origin.patches, flags=origin.flags,
        made_with=origin.made_with)
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    (folder / MANIFEST_NAME).write_bytes(text + b"\n")


def _entries(folder: Path) -> tuple[ManifestFile, ...]:
    paths: Sequence[Path] = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST_NAME)
    return tuple(
        ManifestFile(
            path=path.relative_to(folder).as_posix(), size_bytes=path.stat().st_size,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest())
        for path in paths)


def _copy(source: Path, target: Path) -> None:
    """The file itself, under the name by which others ask for it, whatever links lead to it."""
    if not source.exists():
        raise StepError(f"The build of llama.cpp did not make {source.name}.")
    shutil.copyfile(source.resolve(), target)
    target.chmod(0o644)


def _is_core(plan: EnginePlan, name: str) -> bool:
    return any(name == compiled for compiled, _target in plan.libraries)
