"""What of Python, Qt and the packages goes into the bundle: read by packaging/localai.spec and by tests.

PyInstaller collects whatever a module could use. What Local AI does not use is left out here, by name, so that the next
version of a package brings nothing along unseen.
"""

from __future__ import annotations

import fnmatch
import importlib.util
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

EXCLUDED_MODULES = (
    # Of Python: interactive use, other windows, tests, installers of packages.
    "curses", "readline", "tkinter", "_tkinter", "turtle", "idlelib", "lib2to3", "pydoc_data", "ensurepip", "distutils", "test",
    "_gdbm", "_dbm", "venv", "pdb",
    # Of packages: other programs and their tools.
    "IPython", "setuptools", "pkg_resources", "pip", "numpy.f2py", "numpy.testing", "numpy.distutils", "pytest", "hypothesis",
    "PIL", "matplotlib", "pandas", "torch", "tensorflow", "pycparser",
    # Downloads go through Local AI's own transfer, which keeps what arrived (docs/architecture.md).
    "hf_xet",
    # A worker uses the binding of llama-cpp-python, not its high-level part (engine/worker/binding.py).
    "llama_cpp.server", "llama_cpp.llama_cache", "diskcache",
    # Commands of packages.
    "huggingface_hub.cli", "huggingface_hub.inference._mcp", "httpx2._main", "jsonschema.cli", "qtawesome.icon_browser",
    # Qt that is not used.
    "PySide6.QtQml", "PySide6.QtQuick", "PySide6.QtQuickWidgets", "PySide6.QtQuickControls2", "PySide6.QtSql", "PySide6.QtTest",
    "PySide6.QtHelp", "PySide6.QtDesigner", "PySide6.QtUiTools", "PySide6.QtXml", "PySide6.QtConcurrent", "PySide6.QtOpenGL",
    "PySide6.QtOpenGLWidgets", "PySide6.QtPrintSupport", "PySide6.QtSvg", "PySide6.QtSvgWidgets", "PySide6.QtDBus",
)

KEPT_PLUGINS = (
    "platforms/*xcb.*", "platforms/*wayland.*", "platforms/*offscreen.*", "platforms/qwindows.dll", "platforms/libqcocoa.dylib",
    "platformthemes/*xdgdesktopportal.*", "styles/*", "platforminputcontexts/libcompose*", "platforminputcontexts/libibus*",
    "xcbglintegrations/*", "wayland-shell-integration/libxdg-shell.*", "wayland-decoration-client/libbradient.*",
    "wayland-graphics-integration-client/libqt-plugin-wayland-egl.*",
)
"""Qt's plugins that are used. The window draws icons from a font and reads no pictures but PNG, which Qt has built in."""

KEPT_QT_LIBRARIES = (
    "Core", "Gui", "Widgets", "Network", "DBus", "XcbQpa", "WaylandClient", "WlShellIntegration", "OpenGL", "Svg")
"""Qt's own libraries that these plugins and the four modules below need: libQt6Core.so.6, Qt6Core.dll."""

HIDDEN_IMPORTS = ("PySide6.QtCore", "PySide6.QtGui", "PySide6.QtWidgets", "PySide6.QtNetwork")

DROPPED_DATAS = (
    "PySide6/Qt/translations/*", "PySide6/translations/*", "*/tests/*", "*.pyi", "*/py.typed", "*.a", "*.h", "*.lib")

KEPT_SYSTEM_LIBRARIES = (
    # Python's own modules.
    "libpython3*", "libssl.so.3", "libcrypto.so.3", "libsqlite3.so.0", "libffi.so.8", "libbz2.so.1.0", "liblzma.so.5",
    "libuuid.so.1",
    # Qt's, where desktops come without them. Each matches whatever version of libxcb.so.1 is there.
    "libxcb-cursor.so.0", "libxcb-icccm.so.4", "libxcb-image.so.0", "libxcb-keysyms.so.1", "libxcb-render-util.so.0",
    "libxcb-util.so.1", "libxcb-xkb.so.1", "libxkbcommon.so.0", "libxkbcommon-x11.so.0",
)
"""Libraries of the building computer that go along; of all others the user's own are used.

A copy of libstdc++, libgcc_s, expat, cairo or GTK would ask for the building computer's glibc, and would be in the way of
the user's graphics drivers.
"""

_SYSTEM_FOLDERS = ("/usr/lib/", "/lib/", "/lib64/", "/usr/lib64/")


def keeps_binary(destination: str, source: str) -> bool:
    """Whether a library or extension that PyInstaller found goes into the bundle."""
    path = PurePosixPath(destination.replace("\\", "/"))
    if "plugins" in path.parts:
        inside = "/".join(path.parts[path.parts.index("plugins") + 1:])
        return _matches(inside, KEPT_PLUGINS)
    if name := _qt_library(path.name):
        return name in KEPT_QT_LIBRARIES
    if source.startswith(_SYSTEM_FOLDERS) and "site-packages" not in source and "dist-packages" not in source:
        return _is_python_extension(source) or _matches(path.name, KEPT_SYSTEM_LIBRARIES)
    return True


def keeps_data(destination: str) -> bool:
    """Whether a data file that PyInstaller found goes into the bundle."""
    return not _matches(destination.replace("\\", "/"), DROPPED_DATAS)


def icon_font() -> list[tuple[str, str]]:
    """The one font of QtAwesome that the window draws its icons with, and its table: (file, folder in the bundle)."""
    spec = importlib.util.find_spec("qtawesome")
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    return [(str(path), "qtawesome/fonts") for place in places for path in sorted(Path(place).glob("fonts/phosphor-*"))]


def _qt_library(name: str) -> str:
    """`Core` of libQt6Core.so.6 or Qt6Core.dll; empty for what is no library of Qt itself."""
    found = re.match(r"(?:lib)?Qt6(\w+)\.", name)
    return found[1] if found else ""


def _is_python_extension(source: str) -> bool:
    return "/lib-dynload/" in source


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
