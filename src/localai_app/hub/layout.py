"""Where a file of the Hub goes on this disk: `<models>/<owner>/<repo>/<path>`, and which names are refused.

A name is either taken over unchanged or refused, never altered, so that two files can never meet in one place. The rules are
the strictest of all systems, because models folders lie on shared and exchangeable disks.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import Path

from localai_app import errors
from localai_app.errors import AppError
from localai_app.hub.reference import is_repo_id

# Windows: "Naming Files, Paths, and Namespaces" (learn.microsoft.com), with the superscript digits.
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {f"{kind}{digit}" for kind in ("com", "lpt") for digit in "0123456789¹²³"}
)
_FORBIDDEN = frozenset('<>:"\\|?*')
# Control, format (bidirectional marks, zero width), surrogate, private use, line and paragraph separators, unassigned.
_FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# File systems allow 255 bytes; the longest name of ours beside the file is `<name>.part.json.new`.
_MAX_NAME_BYTES = 255 - len(".part.json.new")
_MAX_PATH_CHARS = 1000
_OUR_ENDINGS = (".part", ".part.json", ".part.json.new", ".part.lock")


def target_path(models_folder: Path, repo_id: str, file_path: str) -> Path:
    """The place of a repository's file below `models_folder`; AppError UNSAFE_FILE_NAME if a name is not safe everywhere."""
    if not is_repo_id(repo_id):
        raise _unsafe(repo_id)
    for part in repo_id.split("/"):
        if not _is_safe_part(part):
            raise _unsafe(repo_id)
    check_path(file_path)
    return models_folder.joinpath(*repo_id.split("/"), *file_path.split("/"))


def check_path(file_path: str) -> None:
    """Raise AppError UNSAFE_FILE_NAME unless every part of a repository's path is a safe name on every system."""
    parts = file_path.split("/")
    if len(file_path) > _MAX_PATH_CHARS or not all(_is_safe_part(part) for part in parts):
        raise _unsafe(file_path)
    if parts[-1].lower().endswith(_OUR_ENDINGS):
        raise _unsafe(file_path)


def check_no_clash(file_paths: Iterable[str]) -> None:
    """Raise AppError UNSAFE_FILE_NAME if two different paths are one on a disk that ignores case or composition."""
    seen: dict[str, str] = {}
    for path in file_paths:
        known = seen.setdefault(_folded(path), path)
        if known != path:
            raise _unsafe(path)


def shown_name(name: str) -> str:
    """A name that cannot mislead on screen: what is invisible or reorders text is replaced, and length is limited."""
    clean = "".join("\ufffd" if unicodedata.category(char) in _FORBIDDEN_CATEGORIES else char for char in name)
    return clean if len(clean) <= 120 else f"{clean[:117]}..."


def _is_safe_part(part: str) -> bool:
    if part in ("", ".", "..") or part != part.strip() or part.endswith("."):
        return False
    if any(char in _FORBIDDEN or unicodedata.category(char) in _FORBIDDEN_CATEGORIES for char in part):
        return False
    if part.split(".")[0].rstrip().lower() in _DEVICES:
        return False
    return unicodedata.is_normalized("NFC", part) and len(part.encode()) <= _MAX_NAME_BYTES


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKC", path).casefold())


def _unsafe(name: str) -> AppError:
    return AppError(errors.UNSAFE_FILE_NAME, name=shown_name(name))
