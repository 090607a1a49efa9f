"""Builds of llama.cpp for tests: copies of the installed libraries with a manifest, and back ends that pass or fail on purpose.

The back ends are a few lines of C++ around the installed processor back end. They are loaded as those of an installer are;
what differs is that the installed libggml knows the processor already.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from localai_app.engine.runtimes import MANIFEST_NAME, Manifest, ManifestFile, bindings_version, installed_package

PASSES = "return ggml_backend_cpu_reg();"
CRASHES = "volatile int *nowhere = nullptr; *nowhere = 1; return nullptr;"
HANGS = "for (;;) sleep(1);"


def library_folder() -> Path:
    """The folder of the installed libraries; skips the test where llama.cpp is not installed."""
    build = installed_package()
    if build is None:
        pytest.skip("llama.cpp is not installed")
    return build.library_dir


def copy_libraries(folder: Path) -> Path:
    """The installed libraries under the names by which they are loaded, as hard links where that works."""
    folder.mkdir(parents=True, exist_ok=True)
    for source in library_folder().iterdir():
        if source.name == "libllama.so" or source.suffix == ".0" or source.suffix in (".dylib", ".dll"):
            try:
                os.link(source, folder / source.name)
            except OSError:
                shutil.copy2(source, folder / source.name)
    return folder


def compile_backend(
    folder: Path, variant: str, body: str, *, score: int = 1, declares: str = "", library_folder: Path | None = None,
    needs: Sequence[str] = (),
) -> str:
    """A loadable back end for the processor in `folder`/backends; its path relative to `folder`. Needs g++ (Linux).

    `declares` stands before its functions; `library_folder` holds ggml's libraries if `folder` does not, and `needs` are
    further libraries that it is linked to.
    """
    if shutil.which("g++") is None:
        pytest.skip("there is no C++ compiler")
    (folder / "backends").mkdir(exist_ok=True)
    name = f"backends/libggml-cpu-{variant}.so"
    source = (
        "#include <unistd.h>\n"
        'extern "C" void * ggml_backend_cpu_reg(void);\n'
        f"{declares}\n"
        f'extern "C" int ggml_backend_score(void) {{ return {score}; }}\n'
        f'extern "C" void * ggml_backend_init(void) {{ {body} }}\n')
    subprocess.run(
        ["g++", "-shared", "-fPIC", "-x", "c++", "-", "-x", "none", "-o", str(folder / name), f"-L{library_folder or folder}",
         "-l:libggml-cpu.so.0", "-l:libggml-base.so.0", *needs, "-Wl,-rpath,$ORIGIN/..", "-Wl,--allow-shlib-undefined"],
        input=source, text=True, check=True, capture_output=True)
    return name


def write_manifest(
    folder: Path, engine_id: str, backends: Sequence[str] = (), *, preload: Sequence[str] = (), **changes: str,
) -> Manifest:
    """`engine.json` for everything in a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST_NAME)
    manifest = Manifest(
        engine_id=engine_id, bindings=changes.get("bindings", bindings_version()), label=changes.get("label", ""),
        adds_to=changes.get("adds_to", ""), backends=tuple(backends), preload=tuple(preload), files=tuple(
            ManifestFile(
                path=path.relative_to(folder).as_posix(), size_bytes=path.stat().st_size,
                sha256=hashlib.sha256(path.read_bytes()).hexdigest())
            for path in files))
    (folder / MANIFEST_NAME).write_bytes(msgspec.json.encode(manifest))
    return manifest
