"""What the properties of the engine's libraries show on Windows: llama.cpp's name, makers and terms, and who compiled it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from tools.dev.console import StepError
from tools.dev.environment import ROOT
from tools.package.engine_plan import BUILD_NUMBER, COMMITS, EnginePlan
from tools.package.windows_resources import VersionInfo, version_resource

SCRIPT = ROOT / "packaging" / "windows" / "engine_versions.cmake"
PRODUCT = "llama.cpp"
MAKERS = "The ggml authors"
_DESCRIPTIONS = {
    "llama": "llama.cpp", "ggml": "ggml, loader of back ends", "ggml-base": "ggml", "ggml-cpu": "ggml, back end for processors",
    "ggml-rpc": "ggml, back end for other computers", "ggml-vulkan": "ggml, Vulkan back end"}


def versions(plan: EnginePlan, bindings: str, copyright_line: str) -> Mapping[str, VersionInfo]:
    """What each library tells, by the name of its target in llama.cpp's build files; nothing for other systems than Windows."""
    if not plan.name.startswith("windows-"):
        return {}
    targets = {target.removesuffix(".dll"): target for _compiled, target in plan.libraries}
    targets |= {name.removesuffix(".dll"): name for name in plan.backends}
    return {target: VersionInfo(
        version=f"{bindings}.{BUILD_NUMBER}", product_version=f"{COMMITS[bindings]} (llama-cpp-python {bindings})",
        description=_description(target), file_name=name, product=PRODUCT, company=MAKERS,
        copyright=f"{copyright_line}. MIT licence.", comments="Compiled from patched sources by the Local AI developers.",
        is_library=True) for target, name in sorted(targets.items())}


def key_parts(plan: EnginePlan, bindings: str) -> tuple[str, ...]:
    """What a compiled engine depends on of this; nothing for other systems than Windows."""
    told = versions(plan, bindings, "")
    return (repr(told), SCRIPT.read_text(encoding="utf-8")) if told else ()


def configure_options(plan: EnginePlan, bindings: str, source: Path, folder: Path) -> list[str]:
    """Options for CMake that give each library its version, from files written into `folder`; none for other systems."""
    told = versions(plan, bindings, _copyright_line(source)) if plan.name.startswith("windows-") else {}
    if not told:
        return []
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for target, version in told.items():
        (folder / f"{target}.res").write_bytes(version_resource(version))
    return [f"-DCMAKE_PROJECT_TOP_LEVEL_INCLUDES={SCRIPT.as_posix()}", f"-DLOCALAI_RESOURCES={folder.as_posix()}"]


def _description(target: str) -> str:
    kind, _, variant = target.partition("ggml-cpu-")
    return f"{_DESCRIPTIONS['ggml-cpu']} ({variant})" if variant and not kind else _DESCRIPTIONS[target]


def _copyright_line(source: Path) -> str:
    """As llama.cpp's licence says it."""
    lines = (source / "LICENSE").read_text(encoding="utf-8").splitlines()
    found = next((line.strip() for line in lines if line.startswith("Copyright ")), "")
    if not found:
        raise StepError("The licence of llama.cpp names nobody.")
    return found
