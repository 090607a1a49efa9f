"""The CUDA pack of a release: from the engine's own patched sources, for the engine that `engine` makes, into dist/packs.

The compiler is the one of requirements/cuda.txt in an environment of its own, or the one that LOCALAI_NVCC names. About
160 files are compiled for seven kinds of cards: hours on a small machine, so this is no default target and no part of CI.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from tools.dev.console import StepError
from tools.dev.engine import engine_requirement
from tools.dev.environment import REQUIREMENTS, ROOT, cache_dir, install_locked, make_venv
from tools.package import engine
from tools.package.cuda_build import FLAGS, RELEASE_ARCHITECTURES, Order
from tools.package.cuda_pack import PACK_VERSION, PLATFORM, Belongs, make_pack
from tools.package.cuda_toolkit import Toolkit, find_toolkit
from tools.package.engine_plan import this_platform
from tools.package.inputs import locked

NVCC_VARIABLE = "LOCALAI_NVCC"
LOCK = REQUIREMENTS / "cuda.txt"


def missing() -> str:
    """What this computer lacks for the pack."""
    if this_platform() != PLATFORM:
        return f"The CUDA pack is made on {PLATFORM} for {PLATFORM}."
    named = os.environ.get(NVCC_VARIABLE, "")
    if named and not Path(named).is_file():
        return f"{NVCC_VARIABLE} names {named}, which is not there."
    return engine.missing()


def build() -> Path:
    """The archive in dist/packs, with its entry for the list of packs beside it; compiled now, or earlier in part."""
    belongs_to = engine.build()
    python = engine.build_tools()
    toolkit = _toolkit()
    work = cache_dir() / "cuda-packs" / _key(toolkit)
    with locked(work.with_suffix(".lock")):
        sources, _archive_sha256 = engine.prepare_source(python, work / "llama.cpp")
        order = Order(
            sources, toolkit, RELEASE_ARCHITECTURES, os.cpu_count() or 1, work / "compiled", programs=python.parent)
        belongs = Belongs(engine.current_id(), engine_requirement().split("==")[1], belongs_to)
        made = make_pack(order, belongs, ROOT / "dist" / "packs")
    if made.archive is None:
        raise StepError("The pack was made without an archive.")
    return made.archive


def _toolkit() -> Toolkit:
    named = os.environ.get(NVCC_VARIABLE, "")
    if named:
        return find_toolkit(Path(named))
    python = make_venv(ROOT / ".cache" / "cuda-toolkit", "cuda-toolkit-venv")
    install_locked(python, LOCK, log_name="cuda-toolkit")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    home = python.parents[1] / "lib" / version / "site-packages" / "nvidia" / "cu13"
    nvcc = home / "bin" / "nvcc"
    for program in (*nvcc.parent.glob("*"), *(home / "nvvm" / "bin").glob("*")):
        if program.is_file():
            # Wheels cannot say of every file that it may be run.
            program.chmod(0o755)
    return find_toolkit(nvcc, [home])


def _key(toolkit: Toolkit) -> str:
    parts = [engine.home().name, LOCK.read_text(encoding="utf-8"), str(toolkit.nvcc), str(toolkit.version), PACK_VERSION]
    return hashlib.sha256("\0".join((*parts, *FLAGS, *RELEASE_ARCHITECTURES)).encode()).hexdigest()[:16]
