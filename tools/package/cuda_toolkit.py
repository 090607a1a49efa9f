"""The parts of NVIDIA's toolkit that a CUDA back end is compiled with: found, not installed.

NVIDIA's packages on PyPI lay the whole toolkit into one folder (`nvidia/cu13` of site-packages, requirements/cuda.txt); an
installed toolkit has it in `/usr/local/cuda`. Neither need be whole: a compiler without cuBLAS is completed by
another folder. Only the standard library is used, so that this runs on a bare machine.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.dev.console import StepError

RUNTIME_LIBRARIES = ("libcudart.so", "libcublasLt.so", "libcublas.so")
"""Shipped beside the back end, in the order in which they are loaded: cuBLAS needs cuBLASLt."""
LICENCE_OF = ("nvidia_cublas", "nvidia_cuda_runtime")
"""Packages whose licence text (the CUDA toolkit's agreement, with the list of what may be passed on) goes into the pack."""
_SITE_FOLDERS = ("nvidia/cu13", "nvidia/cu12", "nvidia/cuda_nvcc", "nvidia/cublas", "nvidia/cuda_runtime")
_ABSENT = "{} is not there: install the packages of requirements/cuda.txt, or name its folder with --libraries."
_DRIVER_CALL = re.compile(r"\bcu[A-Z]\w+(?=\s*\()")
_RELEASE = re.compile(r"release (\d+)\.(\d+)")


@dataclass(frozen=True)
class Toolkit:
    """A compiler and the libraries of its major version. All paths are absolute."""

    nvcc: Path
    version: tuple[int, int]
    includes: tuple[Path, ...]
    """Folders with headers that the compiler does not know by itself."""
    libraries: tuple[Path, ...]
    """The files of RUNTIME_LIBRARIES, in that order, with their version in the name."""
    link_folders: tuple[Path, ...]
    """Where the linker finds what the compiler adds by itself (cudadevrt)."""
    licence: Path | None


def find_toolkit(nvcc: Path, further: Sequence[Path] = ()) -> Toolkit:
    """What belongs to this compiler, looked for beside it, in `further` and in this Python's packages; StepError in words."""
    nvcc = nvcc.absolute()
    version = compiler_version(nvcc)
    homes = [home for home in _homes(nvcc, further) if home.is_dir()]
    libraries = tuple(_library(homes, f"{name}.{version[0]}") for name in RUNTIME_LIBRARIES)
    own = home_of(nvcc)
    wanted = [_with_file(homes, header) for header in ("cuda_runtime.h", "cublas_v2.h")]
    includes = tuple(dict.fromkeys(folder for folder in wanted if folder != own / "include"))
    link_folders = tuple(folder for home in homes if (folder := home / "lib").is_dir())
    return Toolkit(nvcc, version, includes, libraries, link_folders, _licence(homes))


def compiler_version(nvcc: Path) -> tuple[int, int]:
    """The release that a compiler says it is of, such as (13, 0)."""
    try:
        said = subprocess.run([nvcc, "--version"], check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise StepError(f"{nvcc} does not run: {error}.") from error
    found = _RELEASE.search(said)
    if not found:
        raise StepError(f"{nvcc} does not say which release it is of.")
    return int(found[1]), int(found[2])


def write_link_folder(toolkit: Toolkit, sources: Path, folder: Path, compiler: str = "cc") -> None:
    """Fill `folder` with what the linker is given: the libraries by their short names, and a stand-in for the driver's.

    The driver (libcuda.so.1) is on the user's computer alone. The stand-in has the functions that the sources call
    and no code, as NVIDIA's own stub has, so that a call that no driver has is still found by the linker.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for library in toolkit.libraries:
        link = folder / f"{library.name.split('.so')[0]}.so"
        link.unlink(missing_ok=True)
        link.symlink_to(library)
    stub = folder / "driver.c"
    stub.write_text("".join(f"void {name}(void) {{}}\n" for name in _driver_calls(sources)), encoding="ascii")
    command = [compiler, "-shared", "-fPIC", "-w", "-fno-builtin", "-Wl,-soname,libcuda.so.1",
               "-o", str(folder / "libcuda.so"), str(stub)]
    made = subprocess.run(command, check=False, capture_output=True, text=True)
    if made.returncode:
        raise StepError(f"The stand-in for the driver's library cannot be made: {made.stderr.strip()[-300:]}")


def _driver_calls(sources: Path) -> list[str]:
    files = [*sources.glob("ggml/src/ggml-cuda/**/*.cu"), *sources.glob("ggml/src/ggml-cuda/**/*.cuh")]
    return sorted({name for path in files for name in _DRIVER_CALL.findall(path.read_text(encoding="utf-8"))})


def _homes(nvcc: Path, further: Sequence[Path]) -> Iterable[Path]:
    yield from (folder.absolute() for folder in further)
    yield home_of(nvcc)
    yield home_of(nvcc.resolve())
    for site in sys.path:
        for name in _SITE_FOLDERS:
            yield Path(site) / name


def home_of(nvcc: Path) -> Path:
    """The folder that a compiler takes itself to be in; one that is called by a script says it in its dry run."""
    said = subprocess.run(
        [nvcc, "--dryrun", "-x", "cu", "-c", "-"], check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL).stderr
    found = re.search(r"_HERE_=(.+)", said)
    return (Path(found[1].strip()) if found else nvcc.parent).parent


def _library(homes: Sequence[Path], name: str) -> Path:
    for home in homes:
        for folder in ("lib", "lib64", "."):
            if (home / folder / name).is_file():
                return (home / folder / name).resolve()
    raise StepError(_ABSENT.format(name))


def _with_file(homes: Sequence[Path], header: str) -> Path:
    for home in homes:
        if (home / "include" / header).is_file():
            return home / "include"
    raise StepError(_ABSENT.format(header))


def _licence(homes: Sequence[Path]) -> Path | None:
    for home in homes:
        for place in (home / "dist-info", home.parent.parent, home):
            for package in LICENCE_OF:
                found = sorted((*place.glob(f"{package}*/licenses/License.txt"), *place.glob(f"{package}*/License.txt")))
                if found:
                    return found[0]
        for name in ("EULA.txt", "License.txt", "LICENSE"):
            if (home / name).is_file():
                return home / name
    return None
