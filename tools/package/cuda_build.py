"""Compiles llama.cpp's back end for NVIDIA GPUs, alone, so that it loads into an engine that was built elsewhere.

It takes the engine's own sources, so that both know the same structures, and every choice of llama.cpp's own releases
(CUDA graphs, compressed code) but NCCL, which no desktop has. Only the standard library is used, and cmake and ninja.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tools.dev.console import StepError, run_logged
from tools.package.cuda_toolkit import Toolkit, home_of, write_link_folder

BACKEND = "libggml-cuda.so"
RELEASE_ARCHITECTURES = ("75-virtual", "80-virtual", "86-real", "89-real", "90-virtual", "120a-real", "121a-real")
"""The list of ggml-cuda's own CMakeLists.txt for CUDA 12.9 and later: machine code for the cards that most people have,
and for the others code that the driver translates at the first start, from Turing (7.5) on."""
FLAGS = (
    "-DCMAKE_BUILD_TYPE=Release", "-DBUILD_SHARED_LIBS=ON", "-DCMAKE_SKIP_RPATH=ON", "-DCMAKE_CUDA_RUNTIME_LIBRARY=Shared",
    "-DGGML_BACKEND_DL=ON", "-DGGML_NATIVE=OFF", "-DGGML_CPU=OFF", "-DGGML_OPENMP=OFF", "-DGGML_CUDA=ON",
    "-DGGML_CUDA_GRAPHS=ON", "-DGGML_CUDA_NCCL=OFF", "-DGGML_CCACHE=OFF", "-DGGML_BUILD_TESTS=OFF", "-DGGML_BUILD_EXAMPLES=OFF",
)
_PROJECT = """cmake_minimum_required(VERSION 3.21)
project(cuda-pack C CXX)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
add_subdirectory("${LLAMA_SOURCES}/ggml" ggml)
"""
"""ggml as a part of a project, as it is in llama.cpp; by itself it wants files that the source distribution lacks."""
_DROPPED = (
    "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "CUDAFLAGS", "NVCC_APPEND_FLAGS", "NVCC_PREPEND_FLAGS", "SOURCE_DATE_EPOCH")
_SYSTEM = re.compile(r"(libstdc\+\+|libm|libgcc_s|libc|libdl|librt|libpthread|ld-linux[-\w]*)\.so\.\d+")


@dataclass(frozen=True)
class Order:
    """What to compile. `work` is a folder of its own: what is in it from an earlier run with the same choices is used again."""

    sources: Path
    toolkit: Toolkit
    architectures: tuple[str, ...]
    jobs: int
    work: Path
    programs: Path | None = None
    """Where cmake and ninja lie, if not on the PATH."""


def compile_backend(order: Order) -> Path:
    """The back end, stripped and checked, inside the work folder; StepError in words."""
    if not (order.sources / "ggml/src/ggml-cuda/CMakeLists.txt").is_file():
        raise StepError(f"{order.sources} does not hold the sources of llama.cpp.")
    for program in ("cmake", "ninja", "strip", "readelf"):
        if shutil.which(program, path=_path(order)) is None:
            raise StepError(f"{program} is missing.")
    project, link, build = order.work / "project", order.work / "link", order.work / "build"
    write_link_folder(order.toolkit, order.sources, link)
    project.mkdir(parents=True, exist_ok=True)
    (project / "CMakeLists.txt").write_text(_PROJECT, encoding="ascii")
    env = {**_environment(order.toolkit, link), "PATH": _path(order)}
    run_logged(["cmake", "-S", str(project), "-B", str(build), "-G", "Ninja", *_choices(order, link)],
               order.work / "configure.log", cwd=order.work, env=env)
    run_logged(["ninja", "-C", str(build), "-j", str(order.jobs), "ggml-cuda"],
               order.work / "compile.log", cwd=order.work, env=env)
    made = order.work / BACKEND
    shutil.copyfile(build / "bin" / BACKEND, made)
    subprocess.run(["strip", "--strip-unneeded", str(made)], check=True)
    check_backend(made, order.toolkit)
    return made


def check_backend(backend: Path, toolkit: Toolkit, engine: Path | None = None) -> None:
    """StepError where it needs a library that will not be there, or a function that the engine's libraries lack."""
    dynamic = subprocess.run(["readelf", "-dW", str(backend)], check=True, capture_output=True, text=True).stdout
    if re.search(r"\((RPATH|RUNPATH)\)", dynamic):
        raise StepError(f"{backend.name} looks for libraries in a folder of the computer that it was made on.")
    known = {path.name for path in toolkit.libraries} | {"libcuda.so.1", "libggml-base.so.0"}
    needed = set(re.findall(r"\(NEEDED\).*\[(.+)\]", dynamic))
    strange = sorted(name for name in needed - known if not _SYSTEM.fullmatch(name))
    if strange:
        raise StepError(f"{backend.name} needs {strange[0]}, which is not part of the pack.")
    if engine is None:
        return
    there = set().union(*(_symbols(path, undefined=False) for path in sorted(engine.rglob("libggml-base.so*"))))
    wanted = {name for name in _symbols(backend, undefined=True) if name.startswith(("ggml_", "gguf_"))}
    absent = sorted(wanted - there)
    if absent:
        raise StepError(f"The engine in {engine} has no function {absent[0]}: it was built from other sources.")


def _symbols(library: Path, *, undefined: bool) -> set[str]:
    table = subprocess.run(
        ["readelf", "--dyn-syms", "-W", str(library)], check=True, capture_output=True, text=True).stdout
    rows = [line.split() for line in table.splitlines()]
    return {row[7].split("@")[0] for row in rows if len(row) >= 8 and (row[6] == "UND") == undefined}


def _choices(order: Order, link: Path) -> list[str]:
    toolkit = order.toolkit
    sources = order.sources.absolute()
    flags = " ".join((
        *(f"-isystem={folder}" for folder in toolkit.includes), f"-Xcompiler=-ffile-prefix-map={sources}=llama.cpp"))
    return [
        *FLAGS, f"-DLLAMA_SOURCES={sources}", f"-DCMAKE_CUDA_ARCHITECTURES={';'.join(order.architectures)}",
        f"-DCMAKE_CUDA_COMPILER={toolkit.nvcc}", f"-DCUDAToolkit_ROOT={home_of(toolkit.nvcc)}", f"-DCMAKE_CUDA_FLAGS={flags}",
        f"-DCUDA_CUDART={link / 'libcudart.so'}", f"-DCUDA_cudart_LIBRARY={link / 'libcudart.so'}",
        f"-DCUDA_cublas_LIBRARY={link / 'libcublas.so'}", f"-DCUDA_cublasLt_LIBRARY={link / 'libcublasLt.so'}",
        f"-DCUDA_cuda_driver_LIBRARY={link / 'libcuda.so'}", "-DCMAKE_SHARED_LINKER_FLAGS=-Wl,-z,relro,-z,now",
        "-DCMAKE_MODULE_LINKER_FLAGS=-Wl,-z,relro,-z,now,-z,defs",
    ]


def _path(order: Order) -> str:
    own = os.environ.get("PATH", "")
    return f"{order.programs}{os.pathsep}{own}" if order.programs is not None else own


def _environment(toolkit: Toolkit, link: Path) -> dict[str, str]:
    """The developer's variables less flags; and where the linker looks, as the compiler's own profile knows `lib64` alone."""
    env = {name: value for name, value in os.environ.items() if name not in _DROPPED}
    return env | {"LIBRARY_PATH": os.pathsep.join(str(folder) for folder in (link, *toolkit.link_folders))}
