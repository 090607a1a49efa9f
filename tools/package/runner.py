"""Steps of the release jobs, run with the runner's own Python before there is an environment.

    python -m tools.package.runner version TAG       the tag has to be the version that would be released
    python -m tools.package.runner cache-key         output `engine`: the name under which the engine is cached
    python -m tools.package.runner vulkan-sdk        fetch the Vulkan SDK; VULKAN_SDK and PATH for later steps
    python -m tools.package.runner appimage-runtime  fetch the runtime of AppImages; LOCALAI_APPIMAGE_RUNTIME for later steps
    python -m tools.package.runner msvc              the variables of Microsoft's compiler for later steps

Variables go to the files that GITHUB_ENV, GITHUB_PATH and GITHUB_OUTPUT name, or to standard output where they are not set.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tools.dev.console import StepError
from tools.dev.environment import ROOT, cache_dir
from tools.dev.stamp import venv_python
from tools.package.downloads import download_for, fetch
from tools.package.engine_plan import this_platform

PACKAGE_VENV = ".venv-package"
RUNTIME_VARIABLE = "LOCALAI_APPIMAGE_RUNTIME"
COMPILER_VARIABLES = ("PATH", "INCLUDE", "LIB", "LIBPATH", "VCToolsInstallDir", "WindowsSdkDir", "WindowsSDKVersion")


def check_version(tag: str) -> None:
    """StepError unless a tag is `v` and the version of the sources, which has its release notes."""
    text = (ROOT / "src" / "localai_app" / "__init__.py").read_text(encoding="utf-8")
    version = text.split('__version__ = "')[1].split('"')[0]
    if tag != f"v{version}":
        raise StepError(f"The tag {tag} is not v{version}, the version of the sources.")
    if not (ROOT / "docs" / "release-notes" / f"{version}.md").is_file():
        raise StepError(f"docs/release-notes/{version}.md is missing.")
    _give("OUTPUT", {"version": version})


def give_cache_key() -> None:
    """The name of the engine's folder in the cache, which hashes everything that decides what is compiled."""
    ours = venv_python(ROOT, PACKAGE_VENV)
    question = "from tools.package import engine; print(engine.home().name)"
    _give("OUTPUT", {"engine": _run([str(ours if ours.exists() else sys.executable), "-c", question]).strip()})


def give_vulkan_sdk() -> None:
    """Fetch and unpack the SDK, which brings headers, loader and a shader compiler."""
    download = download_for("vulkan-sdk", this_platform())
    home = cache_dir() / "vulkan-sdk" / download.version
    archive = fetch(download)
    if sys.platform == "win32":
        if not home.is_dir():
            _run([str(archive), "--root", str(home), "--accept-licenses", "--default-answer", "--confirm-command", "install",
                  "copy_only=1"])
        root, programs = home, home / "Bin"
    else:
        if not home.is_dir():
            home.mkdir(parents=True)
            _run(["tar", "--extract", "--strip-components=1", "--file", str(archive), "--directory", str(home)])
        root = home / platform.machine()
        programs = root / "bin"
    if not programs.is_dir():
        raise StepError(f"The Vulkan SDK has no folder {programs}.")
    _give("ENV", {"VULKAN_SDK": str(root)})
    _give("PATH", {"": str(programs)})


def give_appimage_runtime() -> None:
    """Fetch the program that an AppImage begins with."""
    _give("ENV", {RUNTIME_VARIABLE: str(fetch(download_for("appimage-runtime", this_platform())))})


def give_compiler() -> None:
    """What Microsoft's `vcvarsall.bat` sets, which only a shell that has run it would have."""
    programs = os.environ.get("PROGRAMFILES(X86)", r"C:\Program Files (x86)")
    finder = Path(programs) / "Microsoft Visual Studio" / "Installer" / "vswhere.exe"
    home = _run([str(finder), "-latest", "-products", "*", "-property", "installationPath"]).strip()
    script = Path(home) / "VC" / "Auxiliary" / "Build" / "vcvarsall.bat"
    processor = "arm64" if this_platform() == "windows-arm64" else "amd64"
    found = variables_of(_run(["cmd", "/s", "/c", f'"call "{script}" {processor} >nul && set"']))
    if "INCLUDE" not in found:
        raise StepError(f"{script} did not set the compiler's variables.")
    clang = Path(home) / "VC" / "Tools" / "Llvm" / "ARM64" / "bin"
    if processor == "arm64" and clang.is_dir():
        # llama.cpp's kernels for ARM are compiled by Clang alone.
        found["PATH"] = f"{clang};{found['PATH']}"
    _give("ENV", found)


def variables_of(listing: str) -> dict[str, str]:
    """The compiler's variables from the output of `set`, with the names that the compiler itself uses."""
    wanted = {name.upper(): name for name in COMPILER_VARIABLES}
    pairs = (line.partition("=") for line in listing.splitlines())
    return {wanted[name.upper()]: value.strip() for name, equals, value in pairs if equals and name.upper() in wanted}


def _give(kind: str, values: Mapping[str, str]) -> None:
    lines = "".join(f"{name}={value}\n" if name else f"{value}\n" for name, value in values.items())
    target = os.environ.get(f"GITHUB_{kind}", "")
    if target:
        with Path(target).open("a", encoding="utf-8") as file:
            file.write(lines)
    else:
        sys.stdout.write(lines)


def _run(command: Sequence[str]) -> str:
    line: Sequence[str] | str = " ".join(command) if command[0] == "cmd" else command
    try:
        done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False)
    except FileNotFoundError as failure:
        raise StepError(f"{command[0]} is not there.") from failure
    if done.returncode:
        raise StepError(f"{Path(command[0]).name} failed: {(done.stderr or done.stdout).strip()[-400:]}")
    return done.stdout


STEPS: dict[str, Callable[[], None]] = {
    "cache-key": give_cache_key, "vulkan-sdk": give_vulkan_sdk, "appimage-runtime": give_appimage_runtime,
    "msvc": give_compiler,
}


def main(arguments: Sequence[str]) -> int:
    """One step; 1 with a sentence if it fails, 2 for wrong usage."""
    try:
        if len(arguments) == 2 and arguments[0] == "version":
            check_version(arguments[1])
        elif len(arguments) == 1 and arguments[0] in STEPS:
            STEPS[arguments[0]]()
        else:
            print((__doc__ or "").strip(), file=sys.stderr)
            return 2
    except StepError as failure:
        print(f"runner: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
