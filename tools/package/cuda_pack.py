"""The runtime pack for NVIDIA GPUs: llama.cpp's CUDA back end, NVIDIA's libraries that it needs, and their licence.

    python3 -m tools.package.cuda_pack --help

It is compiled on a large machine and is no part of CI. Only the standard library is used, cmake, ninja and binutils.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.dev.console import StepError
from tools.package.cuda_build import BACKEND, RELEASE_ARCHITECTURES, Order, check_backend, compile_backend
from tools.package.cuda_toolkit import find_toolkit
from tools.package.pack_archive import ARCHIVE_SUFFIX, MANIFEST_NAME, Pack, entry_of, lay_out, write_archive

PACK_ID = "cuda13"
PACK_VERSION = "1.0"
"""Raised with every change of what is in the pack for one and the same engine."""
LABEL = "NVIDIA CUDA 13"
PLATFORM = "linux-x64"
NEEDS = {"min_driver": "580", "min_compute_capability": "7.5", "licence_file": "licences/NVIDIA-CUDA.txt"}
"""CUDA 13 runs with every driver of the branch 580 and newer, and dropped what is older than Turing."""
_NVIDIA_LICENCE, _LLAMA_LICENCE = NEEDS["licence_file"], "licences/llama.cpp.txt"


@dataclass(frozen=True)
class Belongs:
    """The engine that the pack is made for. `folder` is None where only its name is known."""

    engine_id: str
    bindings: str
    folder: Path | None = None


@dataclass(frozen=True)
class Made:
    """What was made; no archive and no entry where only the folder was wanted."""

    folder: Path
    archive: Path | None = None
    entry: Path | None = None


def make_pack(order: Order, belongs: Belongs, output: Path, *, with_archive: bool = True) -> Made:
    """Compile the back end and make the pack in `output`; StepError in words."""
    order.work.mkdir(parents=True, exist_ok=True)
    output.mkdir(parents=True, exist_ok=True)
    backend = compile_backend(order)
    if belongs.folder is not None:
        check_backend(backend, order.toolkit, belongs.folder)
    licence = order.toolkit.licence
    if licence is None:
        raise StepError("NVIDIA's licence text was not found beside its libraries, and without it they may not be passed on.")
    preload = tuple(path.name for path in order.toolkit.libraries)
    pack = Pack(PACK_ID, PACK_VERSION, LABEL, PLATFORM, belongs.engine_id, belongs.bindings, (BACKEND,), preload)
    files = {BACKEND: backend, _NVIDIA_LICENCE: licence, _LLAMA_LICENCE: order.sources / "LICENSE"}
    files |= {path.name: path for path in order.toolkit.libraries}
    folder = lay_out(pack, files, output / f"{pack.pack_id}-{pack.version}")
    if not with_archive:
        return Made(folder)
    archive = write_archive(folder, output / f"{pack.name}{ARCHIVE_SUFFIX}")
    entry = output / f"{pack.name}.entry.json"
    entry.write_text(json.dumps(entry_of(pack, archive, folder, NEEDS), indent=1) + "\n", encoding="utf-8")
    return Made(folder, archive, entry)


def main(arguments: Sequence[str]) -> int:
    """Make a pack as the command line says; the exit status."""
    options = _options().parse_args(arguments)
    try:
        toolkit = find_toolkit(options.nvcc, options.libraries)
        belongs = _belongs(options)
        order = Order(options.sources, toolkit, tuple(options.architectures.split(";")), options.jobs, options.output / "work")
        made = make_pack(order, belongs, options.output, with_archive=not options.no_archive)
    except StepError as failure:
        print(failure, file=sys.stderr)
        return 1
    print(made.archive or made.folder)
    return 0


def _belongs(options: argparse.Namespace) -> Belongs:
    if options.engine is None:
        return Belongs(options.adds_to, options.bindings)
    try:
        manifest = json.loads((options.engine / MANIFEST_NAME).read_text(encoding="utf-8"))
        return Belongs(manifest["engine_id"], manifest["bindings"], options.engine)
    except (OSError, ValueError, KeyError) as error:
        raise StepError(f"{options.engine} is no engine: its {MANIFEST_NAME} cannot be read ({error}).") from error


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m tools.package.cuda_pack", description="Make a CUDA pack.")
    parser.add_argument("--sources", type=Path, required=True, help="llama.cpp's folder, patched as the engine's")
    parser.add_argument("--nvcc", type=Path, required=True, help="NVIDIA's compiler")
    parser.add_argument("--architectures", default=";".join(RELEASE_ARCHITECTURES), help="as for CMake, such as 90")
    parser.add_argument("--libraries", type=Path, action="append", default=[], help="a folder with lib/ and include/ of cuBLAS")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="files that are compiled at once")
    parser.add_argument("--output", type=Path, required=True, help="where the pack is put; work/ in it is used again")
    parser.add_argument("--engine", type=Path, help="the engine that it belongs to: a folder with engine.json")
    parser.add_argument("--adds-to", default="", help="without --engine: the engine's id")
    parser.add_argument("--bindings", default="0.3.36", help="without --engine: its version of llama-cpp-python")
    parser.add_argument("--no-archive", action="store_true", help="only the folder, which takes no time to pack")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
