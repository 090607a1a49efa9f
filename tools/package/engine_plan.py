"""What the engine of an installer consists of, by platform, as data: flags for CMake, libraries, back ends, their names."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from pathlib import Path

BUILD_NUMBER = 1
"""Raised with every change of what is compiled: packs fit one `engine_id` only."""
COMMITS = {"0.3.36": "0c1e57098"}
"""llama.cpp's commit by version of llama-cpp-python, whose archive does not say it."""

COMMON_FLAGS = (
    "-DCMAKE_BUILD_TYPE=Release", "-DBUILD_SHARED_LIBS=ON", "-DCMAKE_SKIP_RPATH=ON",
    "-DGGML_NATIVE=OFF", "-DGGML_BACKEND_DL=ON", "-DGGML_OPENMP=OFF", "-DGGML_LLAMAFILE=ON", "-DGGML_CPU_REPACK=ON",
    "-DGGML_CPU_KLEIDIAI=OFF", "-DGGML_CPU_HBM=OFF", "-DGGML_BLAS=OFF", "-DGGML_RPC=ON", "-DGGML_RPC_RDMA=OFF",
    "-DGGML_CUDA=OFF", "-DGGML_CCACHE=OFF", "-DLLAMA_BUILD_COMMON=OFF", "-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_TOOLS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_SERVER=OFF", "-DLLAMA_BUILD_APP=OFF", "-DLLAMA_OPENSSL=OFF",
)
"""Everything that could differ by computer is said: CMake would else look for ccache, RDMA, BLAS or the local processor.

OpenMP is off because libgomp, libomp or Microsoft's library would have to be brought along; llama.cpp's own threads
are as fast (docs/engine-builds.md has figures)."""
ALL_VARIANTS = "-DGGML_CPU_ALL_VARIANTS=ON"
VULKAN = "-DGGML_VULKAN=ON"

X86_MSVC = ("x64", "sse42", "sandybridge", "haswell", "skylakex", "cannonlake", "cascadelake", "icelake", "alderlake")
X86 = (*X86_MSVC, "ivybridge", "piledriver", "cooperlake", "zen4")
ARM_LINUX = ("armv8.0_1", "armv8.2_1", "armv8.2_2", "armv8.2_3", "armv8.6_1", "armv8.6_2", "armv9.2_1", "armv9.2_2")
APPLE = ("apple_m1", "apple_m2_m3", "apple_m4")
UNSHIPPED = ("sapphirerapids",)
"""Compiled by llama.cpp's own build files, but left out: AMX kills it on virtual machines that list AMX and do not grant it."""


@dataclass(frozen=True, kw_only=True)
class EnginePlan:
    """The engine of one platform. Names of `libraries`: as compiled, and as the loader looks for them."""

    name: str
    """`linux-x64` and so on."""
    flags: tuple[str, ...]
    variants: tuple[str, ...]
    """For the processor; `""` where there is one back end for all processors."""
    graphics: tuple[str, ...]
    libraries: tuple[tuple[str, str], ...]
    backend_pattern: str
    linker_flags: tuple[tuple[str, str], ...] = ()
    """Values of CMAKE_SHARED_LINKER_FLAGS and the like."""
    maps_prefixes: bool = True
    """Whether the compiler replaces folders in what it writes (GCC, Clang), so that the folder of the build leaves no trace."""

    @property
    def backends(self) -> tuple[str, ...]:
        """File names of all back ends, those for the processor first."""
        kinds = (*(f"cpu-{each}" if each else "cpu" for each in self.variants), "rpc", *self.graphics)
        return tuple(self.backend_pattern.format(kind) for kind in kinds)

    @property
    def cmake_flags(self) -> tuple[str, ...]:
        """What decides the result and is recorded in engine.json."""
        return (*COMMON_FLAGS, *self.flags, *(f"-D{name}={value}" for name, value in self.linker_flags))


_UNIX_LIBRARIES = {
    "so": (("libllama.so", "libllama.so"), ("libggml.so", "libggml.so.0"), ("libggml-base.so", "libggml-base.so.0")),
    "dylib": (
        ("libllama.dylib", "libllama.dylib"), ("libggml.dylib", "libggml.0.dylib"),
        ("libggml-base.dylib", "libggml-base.0.dylib")),
}
_DLLS = tuple((name, name) for name in ("llama.dll", "ggml.dll", "ggml-base.dll"))
_LINUX_LINKER = (
    ("CMAKE_SHARED_LINKER_FLAGS", "-Wl,-s,-z,relro,-z,now,--build-id=sha1 -Wl,-rpath,'$ORIGIN'"),
    ("CMAKE_MODULE_LINKER_FLAGS", "-Wl,-s,-z,relro,-z,now,--build-id=sha1 -Wl,-rpath,'$ORIGIN/..'"),
)
_MAC_LINKER = (
    ("CMAKE_SHARED_LINKER_FLAGS", "-Wl,-x -Wl,-rpath,@loader_path"),
    ("CMAKE_MODULE_LINKER_FLAGS", "-Wl,-x -Wl,-rpath,@loader_path/.."),
)
_MSVC_LINKER = tuple((f"CMAKE_{kind}_LINKER_FLAGS", "/Brepro") for kind in ("SHARED", "MODULE"))

PLANS = {plan.name: plan for plan in (
    EnginePlan(
        name="linux-x64", flags=(ALL_VARIANTS, VULKAN), variants=X86, graphics=("vulkan",), libraries=_UNIX_LIBRARIES["so"],
        backend_pattern="libggml-{}.so", linker_flags=_LINUX_LINKER),
    EnginePlan(
        name="linux-arm64", flags=(ALL_VARIANTS, VULKAN), variants=ARM_LINUX, graphics=("vulkan",),
        libraries=_UNIX_LIBRARIES["so"], backend_pattern="libggml-{}.so", linker_flags=_LINUX_LINKER),
    EnginePlan(
        name="macos-arm64", variants=APPLE, graphics=("metal",), flags=(
            ALL_VARIANTS, "-DGGML_METAL=ON", "-DGGML_METAL_EMBED_LIBRARY=ON", "-DGGML_ACCELERATE=ON",
            "-DCMAKE_OSX_DEPLOYMENT_TARGET=13.3", "-DCMAKE_OSX_ARCHITECTURES=arm64"),
        # Loadable modules of CMake end in .so on macOS too, and llama.cpp looks for them so.
        libraries=_UNIX_LIBRARIES["dylib"], backend_pattern="libggml-{}.so", linker_flags=_MAC_LINKER),
    EnginePlan(
        name="windows-x64", flags=(ALL_VARIANTS, VULKAN), variants=X86_MSVC, graphics=("vulkan",), libraries=_DLLS,
        backend_pattern="ggml-{}.dll", linker_flags=_MSVC_LINKER, maps_prefixes=False),
    EnginePlan(
        # llama.cpp has no variants for Windows on ARM: one build for processors with dot products (2018 and later).
        name="windows-arm64", variants=("",), graphics=("vulkan",), libraries=_DLLS, backend_pattern="ggml-{}.dll",
        flags=(VULKAN, "-DGGML_CPU_ARM_ARCH=armv8.2-a+dotprod", "-DCMAKE_C_COMPILER=clang", "-DCMAKE_CXX_COMPILER=clang++"),
        linker_flags=()),
)}


def this_platform() -> str:
    """`linux-x64` and so on; a name that is in no plan where nothing is made for this computer."""
    system = {"linux": "linux", "darwin": "macos", "win32": "windows"}.get(sys.platform, sys.platform)
    machine = platform.machine().lower()
    return f"{system}-{ {'x86_64': 'x64', 'amd64': 'x64', 'aarch64': 'arm64'}.get(machine, machine) }"


def engine_id(bindings: str) -> str:
    """`lcpp-<commit>-<number>` for a version of llama-cpp-python; KeyError for one whose commit is not written down."""
    return f"lcpp-{COMMITS[bindings]}-{BUILD_NUMBER}"


def prefix_flags(source: Path, build: Path) -> str:
    """Compiler options that write fixed names in place of these folders; quoted, because folders may have blanks."""
    return f'"-ffile-prefix-map={build}=build" "-ffile-prefix-map={source}=llama.cpp"'
