"""The engine for Windows, compiled on Linux by Clang with MinGW's libraries (the package ziglang).

It is for the installer that is tested here. It lacks Vulkan and most variants for processors, which a release gets on Windows
itself by tools/package/engine.py; what both share is the layout, the manifest and the sources.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.dev.console import StepError, run_logged
from tools.dev.environment import LOGS, REQUIREMENTS, ROOT, cache_dir, install_locked, make_venv
from tools.package import engine, engine_source, zig_runtime
from tools.package.engine_layout import lay_out
from tools.package.engine_plan import ALL_VARIANTS, EnginePlan
from tools.package.inputs import locked

LOCK = REQUIREMENTS / "engine-windows.txt"
PATCHES = engine_source.PATCHES / "mingw"
_TARGET = "x86_64-windows-gnu"
_VARIANTS = ("x64", "haswell", "icelake")
_LINKER = "-Wl,-s"
_LINKED = "linked.txt"
"""The file beside the engine with what Zig handed to the linker, a name on each line."""

PLAN = EnginePlan(
    name="windows-x64", variants=_VARIANTS, graphics=(), backend_pattern="ggml-{}.dll", flags=(
        ALL_VARIANTS, f"-DGGML_CPU_VARIANTS={';'.join(_VARIANTS)}", "-DCMAKE_SYSTEM_NAME=Windows",
        "-DCMAKE_SYSTEM_PROCESSOR=AMD64"),
    # CMake's own name for libraries of MinGW is libllama.dll.
    libraries=(("libllama.dll", "llama.dll"), ("ggml.dll", "ggml.dll"), ("ggml-base.dll", "ggml-base.dll")),
    linker_flags=(("CMAKE_SHARED_LINKER_FLAGS", _LINKER), ("CMAKE_MODULE_LINKER_FLAGS", _LINKER)))


def missing() -> str:
    """What this computer lacks for it."""
    return "" if sys.platform.startswith("linux") else "The engine for Windows is compiled on Linux or on Windows itself."


def build() -> Path:
    """The folder of the engine: compiled now (some minutes), or earlier from the same sources; StepError in words."""
    home = _home()
    done = home / engine.current_id()
    if not done.exists():
        with locked(home.with_suffix(".lock")):
            if not done.exists():
                _compile(home, done)
    return done


def made() -> Path | None:
    """The folder of the engine where it was compiled before; None where that is still to be done."""
    folder = _home() / engine.current_id()
    return folder if folder.is_dir() else None


def linked_in() -> frozenset[str]:
    """Names of the objects and libraries of Zig that the engine was linked with, import libraries among them."""
    return frozenset((_home() / _LINKED).read_text(encoding="utf-8").split())


def _home() -> Path:
    return engine.home_of(PLAN, (LOCK.read_text(encoding="utf-8"), _TARGET, _LINKED), _patches())


def _compile(home: Path, done: Path) -> None:
    programs = engine.build_tools().parent
    zig = zig_compiler()
    work = home.with_suffix(".work")
    source, archive_sha256 = engine.prepare_source(programs / "python", work, _patches())
    built = work / "build"
    env = engine.compiler_environment(programs, source) | {
        "ZIG_GLOBAL_CACHE_DIR": str(cache_dir() / "zig"), "ZIG_LOCAL_CACHE_DIR": str(work / "zig")}
    configure = [*engine.configure_command(PLAN, source, built), *_compilers(zig, work)]
    run_logged(configure, LOGS / "engine-windows-configure.log", cwd=ROOT, env=env)
    log = LOGS / "engine-windows-compile.log"
    run_logged(["ninja", "-C", str(built), "llama"], log, cwd=ROOT, env=env | {"ZIG_VERBOSE_LINK": "1"})
    whole = work / "whole"
    shutil.rmtree(whole, ignore_errors=True)
    made_with = (f"ziglang {zig_version()}, {_TARGET}",)
    lay_out(PLAN, source, built / "bin", whole / done.name, engine.origin_of(PLAN, archive_sha256, made_with, _patches()))
    linked = zig_runtime.linked_in(log.read_text(encoding="utf-8", errors="replace"))
    (whole / _LINKED).write_text("\n".join(sorted(linked)), encoding="utf-8")
    shutil.rmtree(home, ignore_errors=True)
    whole.rename(home)
    shutil.rmtree(work)


def _patches() -> tuple[Path, ...]:
    return tuple(sorted(PATCHES.glob("*.patch")))


def zig_compiler() -> Path:
    """The compiler, in an environment of its own below the cache: it has 400 MB."""
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]
    folder = cache_dir() / f"ziglang-{digest}"
    python = make_venv(folder, "ziglang-venv")
    install_locked(python, LOCK, log_name="ziglang")
    found = sorted(folder.glob("lib/python*/site-packages/ziglang/zig"))
    if not found:
        raise StepError(f"The package ziglang in {folder} has no compiler.")
    return found[0]


def zig_version() -> str:
    """As the lock file pins it."""
    return LOCK.read_text(encoding="utf-8").split()[0].partition("==")[2]


def _compilers(zig: Path, work: Path) -> Sequence[str]:
    """Programs that CMake can call by one name each. No resource is compiled, but CMake wants a program for it."""
    flags = []
    for variable, words in (
            ("C_COMPILER", f"cc -target {_TARGET}"), ("CXX_COMPILER", f"c++ -target {_TARGET}"), ("AR", "ar"),
            ("RANLIB", "ranlib")):
        script = work / f"zig-{words.split()[0]}"
        script.write_text(f'#!/bin/sh\nexec "{zig}" {words} "$@"\n', encoding="utf-8")
        script.chmod(0o755)
        flags.append(f"-DCMAKE_{variable}={script}")
    return [*flags, f"-DCMAKE_RC_COMPILER={shutil.which('true') or os.devnull}"]
