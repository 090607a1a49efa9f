"""Loads llama.cpp: from one folder, with the back ends that were named, and from nowhere else."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localai_app.engine.outcome import EXIT_ENGINE_MISSING, EXIT_ENGINE_UNSUPPORTED, EXIT_ENGINE_UNUSABLE
from localai_app.engine.variants import backend_name
from localai_app.engine.worker.binding import bare_package

_DRIVERS = {"vulkan": ("Vulkan", "libvulkan.so.1", "vulkan-1.dll"), "cuda": ("NVIDIA's driver", "libcuda.so.1", "nvcuda.dll")}
"""What comes with a GPU's driver and not with the program, by back end: its name, on Linux, on Windows."""
_FOLDER_VARIABLE = "LLAMA_CPP_LIB_PATH"
"""Read by llama_cpp while it is imported."""

_REGISTRY_LIBRARIES = ("ggml", "ggml-base")
"""Which hold the list of back ends and the functions of devices; both are loaded as soon as libllama is."""


class EngineAbsentError(Exception):
    """llama.cpp cannot be used here; `exit_status` tells the window why."""

    def __init__(self, exit_status: int, reason: str) -> None:
        self.exit_status = exit_status
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Library:
    """Which build to load. `folder` None: the installed package's own; the others are full paths, loaded in this order."""

    folder: Path | None = None
    backends: tuple[Path, ...] = ()
    hides_gpus: bool = False
    preload: tuple[Path, ...] = ()
    """What back ends need and the system may not have, so that nothing is looked for in folders of the environment."""


def load_library(chosen: Library) -> Any:
    """The module llama_cpp.llama_cpp with its back ends registered; EngineAbsentError with the reason if it cannot be."""
    library = _import(chosen.folder)
    handle = library._lib
    loaded_from = Path(handle._name).resolve().parent
    if chosen.folder is not None and loaded_from != chosen.folder.resolve():
        raise EngineAbsentError(EXIT_ENGINE_UNUSABLE, f"llama.cpp was loaded from {loaded_from} and not from {chosen.folder}")
    for path in chosen.preload:
        _preload(path)
    for path in chosen.backends:
        _load_backend(handle, path)
    count = function_of(handle, "ggml_backend_reg_count", ctypes.c_size_t)
    if count() == 0:
        # Those of the package, where it keeps them apart; the choice between its variants is llama.cpp's own.
        function_of(handle, "ggml_backend_load_all_from_path", None, ctypes.c_char_p)(os.fsencode(loaded_from))
    if count() == 0:
        # llama_backend_init would search the working directory and the folder of the program for some.
        raise EngineAbsentError(EXIT_ENGINE_UNUSABLE, f"no back end lies in {loaded_from}")
    library.llama_backend_init()
    return library


def _preload(path: Path) -> None:
    """Load a library so that those after it, which name it, find it loaded. It stays until the process ends."""
    if sys.platform == "win32":
        # There a library that is loaded is found by its folder.
        os.add_dll_directory(str(path.parent))
    try:
        ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        reason = f"the library {path.name} cannot be loaded ({_words_of(error)})"
        raise EngineAbsentError(EXIT_ENGINE_UNUSABLE, reason) from error


def _words_of(error: OSError) -> str:
    """What the system's loader said. In a frozen program ctypes raises an error of its own, with advice for who froze it."""
    return str(error.__cause__ or error)


def _load_backend(handle: Any, path: Path) -> None:
    _require_driver(path)
    try:
        backend = ctypes.CDLL(str(path))
    except OSError as error:
        reason = f"the back end {path.name} cannot be loaded ({_words_of(error)})"
        raise EngineAbsentError(EXIT_ENGINE_UNUSABLE, reason) from error
    score = getattr(backend, "ggml_backend_score", None)
    if score is not None and score() == 0:
        raise EngineAbsentError(EXIT_ENGINE_UNSUPPORTED, f"the back end {path.name} is not for this processor")
    # The functions of the registry that libllama uses; a second copy of libggml would have a registry of its own.
    if not function_of(handle, "ggml_backend_load", ctypes.c_void_p, ctypes.c_char_p)(os.fsencode(path)):
        raise EngineAbsentError(EXIT_ENGINE_UNUSABLE, f"{path.name} is no back end for this build")


def _require_driver(path: Path) -> None:
    """A computer without the driver for a back end is no fault, and the loader's own message does not tell it from one."""
    kind = backend_name(path)
    if kind not in _DRIVERS or sys.platform == "darwin":
        return
    name, *libraries = _DRIVERS[kind]
    library = libraries[sys.platform == "win32"]
    try:
        ctypes.CDLL(library)
    except OSError as error:
        raise EngineAbsentError(EXIT_ENGINE_UNSUPPORTED, f"{name} is not installed ({library} is not there)") from error


def function_of(handle: Any, name: str, result: Any, *arguments: Any) -> Any:
    """A C function of the loaded libraries with its types."""
    function = _find(handle, name)
    function.restype = result
    function.argtypes = list(arguments)
    return function


def _find(handle: Any, name: str) -> Any:
    try:
        return handle[name]
    except AttributeError:
        if os.name != "nt":
            raise
    # Windows finds in a library only what it exports itself, not what the libraries export that it was linked to.
    for path in sorted(Path(handle._name).parent.glob("*ggml*.dll")):
        if path.stem.removeprefix("lib") in _REGISTRY_LIBRARIES:
            with contextlib.suppress(AttributeError):
                return ctypes.CDLL(str(path))[name]
    raise EngineAbsentError(EXIT_ENGINE_UNUSABLE, f"this llama.cpp has no {name}")


def _import(folder: Path | None) -> Any:
    if importlib.util.find_spec("llama_cpp") is None:
        raise EngineAbsentError(EXIT_ENGINE_MISSING, "the package llama_cpp is not installed")
    # Read by ggml while its library is being loaded.
    os.environ.pop("GGML_BACKEND_PATH", None)
    os.environ.pop(_FOLDER_VARIABLE, None)
    if folder is not None:
        os.environ[_FOLDER_VARIABLE] = str(folder)
    try:
        with bare_package():
            from llama_cpp import llama_cpp as library
    except Exception as error:
        raise EngineAbsentError(EXIT_ENGINE_UNUSABLE, f"llama_cpp cannot be imported: {error}") from error
    return library
