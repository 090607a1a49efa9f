"""llama.cpp: compiled once from pinned source with our flags, kept as a wheel, installed and checked.

pip's own wheel cache knows nothing of compiler flags and would hand out a build made with others, so wheels are kept in
folders whose name is a hash of everything that decides what is compiled. See docs/decisions/001-engine-build.md.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tools.dev.console import StepError
from tools.dev.environment import REQUIREMENTS, ROOT, cache_dir, clean_environment, install_locked, make_venv, pip

LOCK = REQUIREMENTS / "engine.txt"
PARTS = Path(__file__).with_name("engine_parts.cmake")
"""What llama.cpp is told not to compile, where llama-cpp-python overrules the flag."""
PORTABLE_FLAGS = ("-DGGML_NATIVE=OFF", "-DGGML_RPC=ON", "-DLLAVA_BUILD=OFF")
BINDINGS_ONLY = ("-DLLAMA_BUILD=OFF", "-DLLAVA_BUILD=OFF")
"""Of llama-cpp-python: no library is compiled."""
NO_DRIVER = "without CUDA: nvcc is here, but not the NVIDIA driver, without which a CUDA build cannot even be loaded"
COMPILER_VARIABLES = ("CC", "CXX", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "CUDACXX", "CUDAFLAGS")

CHECK = """
import ctypes, json
import llama_cpp.llama_cpp as native
native.llama_backend_init()
library = native._lib
library.ggml_backend_dev_count.restype = ctypes.c_size_t
library.ggml_backend_dev_get.restype = ctypes.c_void_p
library.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
library.ggml_backend_dev_name.restype = ctypes.c_char_p
library.ggml_backend_dev_name.argtypes = [ctypes.c_void_p]
handles = [library.ggml_backend_dev_get(number) for number in range(library.ggml_backend_dev_count())]
devices = [library.ggml_backend_dev_name(handle).decode() for handle in handles]
try:
    rpc = bool(library.ggml_backend_rpc_add_server)
except AttributeError:
    rpc = False
print(json.dumps({"system": native.llama_print_system_info().decode(), "devices": devices, "rpc": rpc}))
"""


@dataclass(frozen=True)
class Plan:
    """What to compile: flags for CMake, and a remark for the developer where a choice needs one."""

    flags: tuple[str, ...]
    remark: str = ""

    @property
    def uses_cuda(self) -> bool:
        """Whether the CUDA back end is part of the build."""
        return "-DGGML_CUDA=ON" in self.flags


def plan_build() -> Plan:
    """The flags for this computer: portable code, RPC, and Metal or CUDA where it can be used."""
    if sys.platform == "darwin":
        return Plan((*PORTABLE_FLAGS, "-DGGML_METAL=ON"))
    wish = os.environ.get("LOCALAI_CUDA", "")
    if wish == "0":
        return Plan(PORTABLE_FLAGS, "without CUDA, as LOCALAI_CUDA=0 says")
    if wish == "1":
        architectures = ("-DCMAKE_CUDA_ARCHITECTURES=native",) if has_nvidia_driver() else ()
        return Plan((*PORTABLE_FLAGS, "-DGGML_CUDA=ON", *architectures), "with CUDA, as LOCALAI_CUDA=1 says")
    if find_nvcc() is None:
        return Plan(PORTABLE_FLAGS)
    if not has_nvidia_driver():
        return Plan(PORTABLE_FLAGS, NO_DRIVER)
    return Plan((*PORTABLE_FLAGS, "-DGGML_CUDA=ON", "-DCMAKE_CUDA_ARCHITECTURES=native"), "with CUDA")


def find_nvcc() -> Path | None:
    """NVIDIA's compiler: on the PATH or at its usual places."""
    found = shutil.which("nvcc")
    if found:
        return Path(found)
    name = "nvcc.exe" if os.name == "nt" else "nvcc"
    for home in (os.environ.get("CUDA_PATH", ""), os.environ.get("CUDA_HOME", ""), "/usr/local/cuda"):
        if home and (Path(home) / "bin" / name).exists():
            return Path(home) / "bin" / name
    return None


def has_nvidia_driver() -> bool:
    """Whether the driver's own CUDA library, which every CUDA build is linked to, can be loaded."""
    try:
        ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return False
    return True


def build_key(plan: Plan) -> str:
    """A folder name that differs whenever the compiled result may differ. The wheel itself serves every Python 3."""
    parts = [path.read_text(encoding="utf-8") for path in (LOCK, PARTS)]
    parts += [*plan.flags, sysconfig.get_platform(), platform.machine(), *platform.libc_ver()]
    parts += [f"{name}={os.environ[name]}" for name in COMPILER_VARIABLES if os.environ.get(name)]
    if plan.uses_cuda:
        parts += [str(find_nvcc()), _compute_capabilities()]
    kind = "cuda" if plan.uses_cuda else "metal" if sys.platform == "darwin" else "cpu"
    if plan.flags == BINDINGS_ONLY:
        kind = "bindings"
    return f"{engine_requirement().replace('==', '-')}-{kind}-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:16]}"


def engine_requirement() -> str:
    """The pinned engine as `name==version`, from its lock file."""
    return LOCK.read_text(encoding="utf-8").split()[0]


def _compute_capabilities() -> str:
    try:
        query = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"]
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return ",".join(sorted(set(answer.stdout.split())))


def cached_wheel(plan: Plan) -> Path | None:
    """The wheel that was compiled earlier with just this plan, if any."""
    wheels = sorted((cache_dir() / "wheels" / build_key(plan)).glob("*.whl"))
    return wheels[0] if wheels else None


def build_wheel(plan: Plan) -> Path:
    """Compile llama.cpp (minutes) and keep the wheel in the cache; `StepError` in words."""
    build_env = ROOT / ".cache" / "engine-build"
    python = make_venv(build_env, "engine-build-venv")
    install_locked(python, REQUIREMENTS / "engine-build.txt", log_name="engine-build-tools")
    target = cache_dir() / "wheels" / build_key(plan)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="building-") as folder:
        pip(python, "engine-build", "wheel", "-v", "--no-cache-dir", "--no-deps", "--no-build-isolation",
            "--no-binary", engine_requirement().split("==")[0], "--require-hashes", "-r", str(LOCK),
            "--wheel-dir", folder, env=_compiler_environment(python.parent, plan))
        _record(Path(folder), plan)
        if target.exists():
            shutil.rmtree(target)
        Path(folder).rename(target)
        Path(folder).mkdir()
    wheel = cached_wheel(plan)
    if wheel is None:
        raise StepError("The compilation ended without a wheel.")
    return wheel


def _compiler_environment(programs: Path, plan: Plan) -> dict[str, str]:
    env = clean_environment()
    env["PATH"] = f"{programs}{os.pathsep}{env.get('PATH', '')}"
    env["CMAKE_ARGS"] = shlex.join([*plan.flags, f"-DCMAKE_PROJECT_llama.cpp_INCLUDE={PARTS.as_posix()}"])
    nvcc = find_nvcc()
    if plan.uses_cuda and nvcc is not None:
        env.setdefault("CUDACXX", str(nvcc))
    return env


def _record(folder: Path, plan: Plan) -> None:
    facts = {
        "engine": engine_requirement(), "flags": plan.flags, "platform": sysconfig.get_platform(), "libc": platform.libc_ver()}
    (folder / "build.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def install_wheel(python: Path, wheel: Path, log_name: str) -> None:
    """Put a compiled engine into an environment, in place of whatever build is there, unless it is this very one."""
    mark = python.parent.parent / "localai-engine.txt"
    if mark.exists() and mark.read_text(encoding="utf-8") == wheel.parent.name:
        return
    pip(python, log_name, "install", "--no-deps", "--no-index", "--no-cache-dir", "--force-reinstall", str(wheel))
    mark.write_text(wheel.parent.name, encoding="utf-8")


def check_engine(python: Path, plan: Plan) -> str:
    """Load the engine in a process of its own and say what it can do; `StepError` if it is not what was asked for."""
    with tempfile.TemporaryDirectory(prefix="localai-engine-") as empty:
        answer = subprocess.run(
            [python, "-c", CHECK], cwd=empty, env=clean_environment(), capture_output=True, text=True, timeout=120, check=False)
    if answer.returncode:
        reason = (answer.stderr.strip().splitlines() or [f"exit status {answer.returncode}"])[-1]
        raise StepError(f"The engine was installed but cannot be loaded: {reason}")
    facts = json.loads(answer.stdout)
    if not facts["rpc"]:
        raise StepError("The engine was built without its RPC back end: empty the cache folder of wheels and try again.")
    if "AMX_INT8 = 1" in facts["system"]:
        raise StepError("The engine was built for this processor only: empty the cache folder of wheels and try again.")
    if plan.uses_cuda and not any(name.startswith("CUDA") for name in facts["devices"]):
        return "CUDA is built in, but no CUDA device answers: " + ", ".join(facts["devices"])
    return "devices: " + ", ".join(facts["devices"])
