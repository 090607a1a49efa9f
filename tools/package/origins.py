"""From where a file of a bundle was copied: a distribution, Python, a package of the system, or this checkout."""

from __future__ import annotations

import functools
import importlib.metadata
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from tools.dev.console import StepError
from tools.dev.environment import ROOT
from tools.package.component import Component, of_distribution, tidy
from tools.package.windows_runtime import is_runtime

LICENCES = ROOT / "packaging" / "licenses"
_QT = ("pyside6-essentials", "shiboken6")
_QT_TEXTS = ("qt.txt", "LGPL-3.0.txt", "GPL-3.0.txt")
_EXTRA = {"qtawesome": ("phosphor-icons.txt",)}
IN_THE_CODE = {"nvidia-ml-py": "pynvml.py"}
"""Distributions that state their licence at the top of a module, and bring no file of it."""
_NAMED = {"pyinstaller": "GPL-2.0-or-later with the exception for its bootloader"}
"""Where the name in the metadata leaves out what matters."""


@dataclass(frozen=True)
class OtherPython:
    """A Python that is not the one that runs: its version, and the folder with its files and LICENSE.txt."""

    version: str
    folder: Path


class Origins:
    """Answers `component_of`, by default for the environment that it runs in."""

    def __init__(
        self, distributions: Iterable[importlib.metadata.Distribution] | None = None, python: OtherPython | None = None,
    ) -> None:
        self._other_python = python
        self._distributions = _own_distributions() if distributions is None else _by_file(distributions)
        self._components: dict[str, Component] = {}
        self._own = Component("Local AI", "", "MIT", (tidy((ROOT / "LICENSE").read_text(encoding="utf-8")),))

    def component_of(self, source: Path) -> Component | None:
        """The work that a file of this computer is a part of; None if that cannot be told."""
        path = source.resolve()
        if is_runtime(path.name):
            text = _own_text("microsoft-runtime.txt")
            return Component("Microsoft Visual C++ runtime", "", "Microsoft's terms for distributable code", (text,))
        distribution = self._distributions.get(path) or self._by_code(path)
        if distribution is not None:
            return self._component(distribution)
        # Another Python may lie in this checkout's cache, and this checkout may lie beside the Python that runs.
        if path.is_relative_to(ROOT) and not (self._other_python and self._is_pythons(path)):
            return self._own
        if self._is_pythons(path):
            return self._python()
        return _system_component(path) if self._other_python is None else None

    def llama_cpp(self, folder: Path) -> Component:
        """llama.cpp, whose libraries and licence lie in a folder."""
        found = sorted(folder.rglob("LICENSE*"))
        texts = [tidy(path.read_text(encoding="utf-8")) for path in found]
        return Component("llama.cpp", folder.name, "MIT", (*texts, _own_text("llamafile.txt")) if texts else ())

    def pyinstaller(self) -> Component:
        """The bootloader, which is the executable itself."""
        return self._component(importlib.metadata.distribution("pyinstaller"))

    def _is_pythons(self, path: Path) -> bool:
        if self._other_python is not None:
            return path.is_relative_to(self._other_python.folder.resolve())
        return path.is_relative_to(Path(sys.base_prefix).resolve()) and "site-packages" not in path.parts

    def _by_code(self, path: Path) -> importlib.metadata.Distribution | None:
        """For what PyInstaller compiled from a source file of a distribution."""
        return self._distributions.get(path.with_suffix(".py")) if path.suffix == ".pyc" else None

    def _component(self, distribution: importlib.metadata.Distribution) -> Component:
        name = re.sub(r"[-_.]+", "-", distribution.metadata["Name"]).lower()
        if name in _QT:
            name = _QT[0]
        if name not in self._components:
            self._components[name] = self._make(name, distribution)
        return self._components[name]

    def _make(self, name: str, distribution: importlib.metadata.Distribution) -> Component:
        if name == "localai-app":
            return self._own
        if name in _QT:
            return Component(
                "Qt, PySide6 and Shiboken", distribution.version, "LGPL-3.0-only", tuple(map(_own_text, _QT_TEXTS)))
        extra = [_own_text(file) for file in _EXTRA.get(name, ())]
        if name in IN_THE_CODE:
            extra.append(_leading_comment(Path(str(distribution.locate_file(IN_THE_CODE[name])))))
        component = of_distribution(distribution, tuple(extra))
        return replace(component, licence=_NAMED.get(name, component.licence))

    @functools.cached_property
    def _python_text(self) -> str:
        import sysconfig

        folders = (Path(sysconfig.get_path("stdlib")), Path(sys.base_prefix), Path("/usr/share/doc/libpython3-stdlib"))
        for folder in folders:
            for name in ("LICENSE.txt", "LICENSE", "copyright"):
                if (folder / name).is_file():
                    return tidy((folder / name).read_text(encoding="utf-8"))
        raise StepError("The licence of Python was not found beside its modules.")

    def _python(self) -> Component:
        if self._other_python is not None:
            text = (self._other_python.folder / "LICENSE.txt").read_text(encoding="utf-8")
            return Component("Python", self._other_python.version, "Python-2.0.1", (tidy(text),))
        return Component("Python", sys.version.split()[0], "Python-2.0.1", (self._python_text,))


@functools.cache
def _own_distributions() -> dict[Path, importlib.metadata.Distribution]:
    """Whose each installed file is."""
    return _by_file(importlib.metadata.distributions())


def _by_file(distributions: Iterable[importlib.metadata.Distribution]) -> dict[Path, importlib.metadata.Distribution]:
    """The folders of a distribution may be reached over links."""
    return {
        Path(str(file.locate())).resolve(): distribution
        for distribution in distributions for file in distribution.files or ()}


@functools.cache
def _system_component(path: Path) -> Component | None:
    """A package of Debian or a system like it."""
    if shutil.which("dpkg-query") is None:
        return None
    for name in (path, Path("/usr", *path.parts[1:]), Path("/", *path.parts[2:])):
        asked = subprocess.run(["dpkg-query", "--search", str(name)], capture_output=True, text=True, check=False)
        if asked.returncode == 0:
            package = asked.stdout.split(":")[0].strip()
            return _package(package)
    return None


@functools.cache
def _package(name: str) -> Component:
    ask = ["dpkg-query", "--show", "--showformat=${Version}\n", name]
    version = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.split()[0]
    notice = Path("/usr/share/doc") / name / "copyright"
    texts = (tidy(notice.read_text(encoding="utf-8", errors="replace")),) if notice.is_file() else ()
    return Component(f"{name} of Debian or Ubuntu", version, "", texts)


def _own_text(name: str) -> str:
    return tidy((LICENCES / name).read_text(encoding="utf-8"))


def _leading_comment(path: Path) -> str:
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("#").removeprefix(" "))
    return tidy("\n".join(lines))
