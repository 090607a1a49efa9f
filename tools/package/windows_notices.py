"""THIRD_PARTY.txt of the Windows tree that is made on Linux: each of its files is traced to its wheel, to CPython or to us."""

from __future__ import annotations

import importlib.metadata
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from tools.dev.environment import ROOT
from tools.package import engine_windows, zig_runtime
from tools.package.notices import Bundled, write_notices
from tools.package.origins import IN_THE_CODE, Origins, OtherPython
from tools.package.windows_packages import BINDINGS, RELEASE
from tools.package.windows_runtime import RUNTIMES

INDEX_FOLDER = PurePosixPath("python/packages/localai_app")
_PACKAGES = PurePosixPath("python/packages")
_OWN = frozenset({"localai_app", "localai_start.pyc"})


def write(tree: Path, python: Path, wheels: Path, engine: str) -> None:
    """Add the notices to a finished tree. `engine` is the engine's folder in it; StepError names what belongs to nobody."""
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name).resolve()
        for wheel in sorted(wheels.glob("*.whl")):
            _unpack_facts(wheel, scratch)
        bindings = importlib.metadata.distribution(BINDINGS)
        distributions = [*importlib.metadata.distributions(path=[str(scratch)]), bindings]
        own = {file.parts[0] for file in bindings.files or ()}
        files = {
            inside: _source(PurePosixPath(inside), python, scratch, Path(str(bindings.locate_file(""))), own)
            for path in sorted(tree.rglob("*"))
            if path.is_file() and not (inside := path.relative_to(tree).as_posix()).startswith(f"{engine}/")}
        write_notices(
            tree, Bundled(files, {}), engine, tree / INDEX_FOLDER, origins=Origins(distributions, OtherPython(RELEASE, python)),
            linked=zig_runtime.components(engine_windows.zig_compiler(), engine_windows.zig_version()))


def _unpack_facts(wheel: Path, folder: Path) -> None:
    """What a wheel says of itself, and modules with a licence in them; the rest is known by its list of files."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if ".dist-info/" in name or name in IN_THE_CODE.values():
                archive.extract(name, folder)


def _source(inside: PurePosixPath, python: Path, wheels: Path, bindings: Path, of_bindings: set[str]) -> Path:
    """Where a file of the tree was copied from, or compiled from."""
    if inside.is_relative_to(_PACKAGES):
        name = inside.relative_to(_PACKAGES)
        if name.parts[0] in _OWN:
            return ROOT / "src" / name
        return (bindings if name.parts[0] in of_bindings else wheels) / name
    if inside.parts[0] == "python":
        return python / inside.relative_to("python")
    # Beside the programs lie Microsoft's libraries, which are known by their names.
    return wheels / inside if inside.name in RUNTIMES else ROOT / inside
