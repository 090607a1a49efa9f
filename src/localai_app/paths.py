"""Where everything lies on disk: the only place that knows folders."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import platformdirs

APP_DIR_NAME = "localai-app"


@dataclass(frozen=True, slots=True)
class AppPaths:
    """Folders and files that the program writes; none is created before it is needed."""

    data: Path
    config: Path
    cache: Path
    logs: Path

    @property
    def settings_file(self) -> Path:
        """Settings, one JSON file."""
        return self.config / "settings.json"

    @property
    def store_file(self) -> Path:
        """Chats, downloads and measurements, one SQLite file."""
        return self.data / "localai.sqlite3"

    @property
    def comparing_lock(self) -> Path:
        """Locked while a comparison of this profile runs, in whichever process."""
        return self.data / "comparing.lock"

    @property
    def default_models(self) -> Path:
        """Models folder unless the user chose another one."""
        return self.data / "models"

    @property
    def log_file(self) -> Path:
        """The current log."""
        return self.logs / "localai.log"

    @property
    def runtimes(self) -> Path:
        """Builds of llama.cpp that were added to those of the installation, each in a folder of its own."""
        return self.data / "runtimes"

    @property
    def seen_documents(self) -> Path:
        """What was accepted of signed documents, so that older ones are refused."""
        return self.data / "signed-documents.json"

    @property
    def updates(self) -> Path:
        """Installers that were downloaded; may be deleted at any time."""
        return self.cache / "updates"

    @property
    def update_record(self) -> Path:
        """When was last asked for a newer version, and which one the user does not want."""
        return self.data / "updates.json"

    @property
    def update_list(self) -> Path:
        """The list of releases that came last, as it was signed."""
        return self.cache / "releases.json"

    @property
    def chat_states(self) -> Path:
        """What the engine knew of chats when their model was unloaded; can be made again from the chats."""
        return self.cache / "chat-states"

    @property
    def worker_dir(self) -> Path:
        """Working directory of workers: empty and ours, because llama.cpp may search it for libraries."""
        return self.cache / "worker"


def app_paths(data_dir: Path | None = None) -> AppPaths:
    """The platform's usual folders, or everything under `data_dir`."""
    if data_dir is not None:
        root = data_dir.expanduser().absolute()
        return AppPaths(data=root, config=root, cache=root / "cache", logs=root / "logs")
    dirs = platformdirs.PlatformDirs(APP_DIR_NAME, appauthor=False)
    return AppPaths(
        data=Path(dirs.user_data_dir),
        config=Path(dirs.user_config_dir),
        cache=Path(dirs.user_cache_dir),
        logs=Path(dirs.user_log_dir),
    )


def resources_dir() -> Path:
    """The program's own read-only files: inside the package when installed or frozen, else in the checkout."""
    package = Path(__file__).resolve().parent
    for candidate in (package / "resources", package.parents[1] / "resources"):
        if candidate.is_dir():
            return candidate
    frozen = Path(getattr(sys, "_MEIPASS", package)) / "localai_app" / "resources"
    if frozen.is_dir():
        return frozen
    raise FileNotFoundError("the program's resources folder is missing: the installation is incomplete")


def is_frozen() -> bool:
    """Whether this is a program from an installer, with its own Python, and not a package of a Python environment."""
    return bool(getattr(sys, "frozen", False))


def installed_engines_dir() -> Path:
    """Where an installer puts builds of llama.cpp: beside the program, or where the checkout's would be."""
    return _installed_dir() / "engine" if is_frozen() else resources_dir().parent / "engine"


def installed_notices() -> Path | None:
    """The notices of everybody's work that an installer brings along; None in a checkout, which brings nothing."""
    path = _installed_dir() / "THIRD_PARTY.txt"
    return path if is_frozen() and path.is_file() else None


def _installed_dir() -> Path:
    """The folder of a frozen program; inside an application of macOS the one for everything that is no program."""
    folder = Path(sys.executable).resolve().parent
    return folder.parent / "Resources" if sys.platform == "darwin" and folder.name == "MacOS" else folder
