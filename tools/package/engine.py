"""The engine of an installer: llama.cpp with loadable back ends, compiled once for each platform and kept in the cache.

The folder `engines/<key>/<engine_id>/` of the cache is what goes into an installer; its key hashes everything that decides
what is compiled. docs/releasing.md says how the pieces are chosen.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.dev.console import run_logged
from tools.dev.engine import LOCK, engine_requirement
from tools.dev.environment import LOGS, REQUIREMENTS, ROOT, cache_dir, clean_environment, install_locked, make_venv
from tools.dev.prerequisites import missing_compiler
from tools.package import engine_resources, engine_source
from tools.package.engine_layout import Origin, lay_out, unshipped_backends
from tools.package.engine_plan import COMMITS, PLANS, EnginePlan, engine_id, prefix_flags, this_platform
from tools.package.inputs import locked

EXTRA = "left-out"
"""Folder beside the engine, with what was compiled but is not shipped: tests run it."""
BUILD_TOOLS = REQUIREMENTS / "engine-build.txt"
_LAYOUT = "1"
"""Changes with the code that lays out the folder."""
_FLAG_VARIABLES = ("CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS")


def missing() -> str:
    """What this computer lacks to compile the engine."""
    plan = PLANS.get(this_platform())
    if plan is None:
        return f"There is no plan for an engine of {this_platform()}."
    if _bindings() not in COMMITS:
        return f"tools/package/engine_plan.py does not say which commit of llama.cpp is in {engine_requirement()}."
    return missing_compiler() or (missing_for_vulkan() if "vulkan" in plan.graphics else "")


def missing_for_vulkan() -> str:
    """What the Vulkan back end needs and is not found."""
    sdk = os.environ.get("VULKAN_SDK", "")
    programs = os.pathsep.join([str(Path(sdk, name)) for name in ("bin", "Bin") if sdk] + [os.environ.get("PATH", "")])
    headers = [Path(sdk, name) for name in ("include", "Include") if sdk] + [Path("/usr/include")]
    lacking = [] if shutil.which("glslc", path=programs) else ["glslc"]
    for file in ("vulkan/vulkan.hpp", "spirv/unified1/spirv.hpp"):
        lacking += [] if any((folder / file).exists() for folder in headers) else [file]
    if not lacking:
        return ""
    return (
        f"For the Vulkan back end {', '.join(lacking)} is missing: install the Vulkan SDK "
        "(on Debian and Ubuntu: sudo apt install glslc libvulkan-dev spirv-headers).")


def build() -> Path:
    """The folder of the engine: compiled now (a quarter of an hour on two cores), or earlier from the same sources."""
    plan = PLANS[this_platform()]
    home = home_of(plan, _tool_versions(plan))
    done = home / current_id()
    if not done.exists():
        with locked(home.with_suffix(".lock")):
            if not done.exists():
                _compile(plan, home, done)
    return done


def made() -> Path | None:
    """The folder of the engine where it was compiled before; None where that is still to be done."""
    plan = PLANS.get(this_platform())
    if plan is None:
        return None
    folder = home_of(plan, _tool_versions(plan)) / current_id()
    return folder if folder.is_dir() else None


def home() -> Path:
    """The folder of the cache in which this computer's engine lies, or will lie."""
    plan = PLANS[this_platform()]
    return home_of(plan, _tool_versions(plan))


def left_out() -> Path | None:
    """The folder with the back ends that were compiled beside the engine but are not shipped; None before a build."""
    folder = home() / EXTRA
    return folder if folder.is_dir() else None


def current_id() -> str:
    """The `engine_id` of the pinned version."""
    return engine_id(_bindings())


def home_of(plan: EnginePlan, tools: tuple[str, ...], more_patches: Sequence[Path] = ()) -> Path:
    """The folder of the cache for a plan, made with tools of these versions."""
    parts = [LOCK.read_text(encoding="utf-8"), BUILD_TOOLS.read_text(encoding="utf-8"), _LAYOUT, *plan.cmake_flags, *tools]
    parts += [plan.name, current_id(), *platform.libc_ver(), *engine_resources.key_parts(plan, _bindings())]
    parts += [path.name + path.read_text(encoding="utf-8") for path in (*engine_source.patches(), *more_patches)]
    return cache_dir() / "engines" / f"{plan.name}-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:16]}"


def prepare_source(python: Path, work: Path, more_patches: Sequence[Path] = ()) -> tuple[Path, str]:
    """llama.cpp's patched sources below `work`, kept from an interrupted build, and the SHA-256 of the archive."""
    source, mark = work / "source", work / "source.txt"
    if not mark.exists():
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        archive = engine_source.fetch(python, work)
        engine_source.unpack(archive, source, more_patches)
        mark.write_text(hashlib.sha256(archive.read_bytes()).hexdigest(), encoding="utf-8")
        archive.unlink()
    return source, mark.read_text(encoding="utf-8")


def origin_of(
    plan: EnginePlan, archive_sha256: str, made_with: tuple[str, ...], more_patches: Sequence[Path] = (),
) -> Origin:
    """What stands in `engine.json` of the sources and the tools."""
    return Origin(
        engine_id=current_id(), bindings=_bindings(), commit=COMMITS[_bindings()], source_sha256=archive_sha256,
        patches=tuple(path.name for path in (*engine_source.patches(), *more_patches)), flags=plan.cmake_flags,
        made_with=made_with)


def build_tools() -> Path:
    """The interpreter beside the pinned cmake and ninja."""
    python = make_venv(ROOT / ".cache" / "engine-build", "engine-build-venv")
    install_locked(python, BUILD_TOOLS, log_name="engine-build-tools")
    return python


def configure_command(plan: EnginePlan, source: Path, build_folder: Path) -> list[str]:
    """cmake's command line. The flags that name folders of this computer leave no trace in the result."""
    compiler = prefix_flags(source, build_folder) if plan.maps_prefixes else ""
    commit = COMMITS[_bindings()]
    resources = engine_resources.configure_options(plan, _bindings(), source, build_folder.with_name("resources"))
    return [
        "cmake", "-S", str(source), "-B", str(build_folder), "-G", "Ninja", *plan.cmake_flags, *resources,
        f"-DLLAMA_BUILD_COMMIT={commit}", "-DLLAMA_BUILD_NUMBER=0", f"-DCMAKE_C_FLAGS={compiler}",
        f"-DCMAKE_CXX_FLAGS={compiler}"]


def compiler_environment(programs: Path, source: Path) -> dict[str, str]:
    """Variables for cmake and the compiler: none that adds flags, and no repository around to take a commit from."""
    env = {name: value for name, value in clean_environment().items() if name not in _FLAG_VARIABLES}
    env["PATH"] = f"{programs}{os.pathsep}{env.get('PATH', '')}"
    env["GIT_CEILING_DIRECTORIES"] = str(source.resolve().parent)
    return env


def _compile(plan: EnginePlan, home: Path, done: Path) -> None:
    python = build_tools()
    work = home.with_suffix(".work")
    source, archive_sha256 = prepare_source(python, work)
    built = work / "build"
    env = compiler_environment(python.parent, source)
    run_logged(configure_command(plan, source, built), LOGS / "engine-configure.log", cwd=ROOT, env=env)
    run_logged(["ninja", "-C", str(built), "llama"], LOGS / "engine-compile.log", cwd=ROOT, env=env)
    whole = work / "whole"
    shutil.rmtree(whole, ignore_errors=True)
    lay_out(plan, source, built / "bin", whole / done.name, origin_of(plan, archive_sha256, _tool_versions(plan)))
    _keep_left_out(plan, built / "bin", whole / EXTRA)
    shutil.rmtree(home, ignore_errors=True)
    whole.rename(home)
    shutil.rmtree(work)


def _keep_left_out(plan: EnginePlan, built: Path, folder: Path) -> None:
    for name in unshipped_backends(plan):
        if (built / name).exists():
            folder.mkdir(exist_ok=True)
            shutil.copyfile((built / name).resolve(), folder / name)


def _bindings() -> str:
    return engine_requirement().split("==")[1]


def _tool_versions(plan: EnginePlan) -> tuple[str, ...]:
    """The first line that each program says of itself: other compilers make other libraries."""
    programs: Mapping[str, str] = {
        "c": os.environ.get("CC", "cl" if os.name == "nt" else "cc"),
        "c++": os.environ.get("CXX", "cl" if os.name == "nt" else "c++")}
    lines = [_first_line(command) for command in dict.fromkeys(programs.values())]
    if "vulkan" in plan.graphics:
        lines.append(_first_line("glslc"))
    return tuple(lines)


def _first_line(command: str) -> str:
    options = () if command == "cl" else ("--version",)
    program = shutil.which(command.split()[0])
    if program is None:
        return f"{command}: not found"
    answer = subprocess.run(
        [program, *command.split()[1:], *options], capture_output=True, text=True, check=False, env=clean_environment())
    said = (answer.stdout + answer.stderr).strip().splitlines()
    return said[0] if said else command

