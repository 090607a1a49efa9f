"""The settings file: one JSON document, always whole on disk, never lost."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from localai_app import errors
from localai_app.errors import AppError
from localai_app.settings.declaration import SETTINGS, SPECS, SettingValue
from localai_app.settings.validation import spec_of, validated
from localai_app.whole_file import write_whole

VERSION = 1
MAX_FILE_BYTES = 1_000_000
"""A larger file is not one of ours."""

log = logging.getLogger(__name__)


def _wrap_flat_file(document: dict[str, Any]) -> dict[str, Any]:
    """Version 0, as written by hand: the settings stand at the top, with no version."""
    return {"values": {key: value for key, value in document.items() if key != "version"}}


MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {0: _wrap_flat_file}
"""From each older version to the next one."""


class SettingsFile:
    """Values that the user chose, over the declared defaults. Safe to use from several threads.

    Keys that this version does not know, and values that it cannot use, stay in the file untouched.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.resolve() if path.is_symlink() else path
        self._lock = threading.RLock()
        self._document: dict[str, Any] = _empty_document()
        self._values: dict[str, SettingValue] = {}
        self._write_forbidden_because = ""
        self.notice: AppError | None = None
        """What went wrong while the file was read, if anything did."""
        self._open()

    def get(self, key: str) -> SettingValue:
        """The value in force; AppError SETTING_UNKNOWN."""
        spec = spec_of(key)
        with self._lock:
            return self._values.get(key, spec.default)

    def set(self, key: str, value: SettingValue) -> None:
        """Keep a value, on disk before this returns. On an error nothing changes.

        AppError SETTING_UNKNOWN, SETTING_INVALID, SETTINGS_UNWRITABLE.
        """
        self._change(key, validated(spec_of(key), value))

    def reset(self, key: str) -> None:
        """Back to the default; AppError SETTING_UNKNOWN, SETTINGS_UNWRITABLE."""
        spec_of(key)
        self._change(key, None)

    def changed_keys(self) -> tuple[str, ...]:
        """Settings whose value differs from the default, in the order of their declaration."""
        with self._lock:
            return tuple(spec.key for spec in SETTINGS if self._values.get(spec.key, spec.default) != spec.default)

    def _change(self, key: str, value: SettingValue | None) -> None:
        with self._lock:
            document = self._newest_document()
            values = dict(document["values"])
            if value is None:
                values.pop(key, None)
            else:
                values[key] = value
            document = {**document, "values": values}
            self._write(document)
            self._adopt(document)

    def _newest_document(self) -> dict[str, Any]:
        """What is on disk, where another window or command may have changed it; else what was read last."""
        try:
            return _parse(_read(self._path))
        except (OSError, ValueError, RecursionError):
            return self._document

    def _adopt(self, document: dict[str, Any]) -> None:
        self._document = document
        self._values = _usable_values(document["values"])

    def _open(self) -> None:
        try:
            self._adopt(_parse(_read(self._path)))
        except FileNotFoundError:
            return
        except OSError as error:
            self._write_forbidden_because = "the settings file that is there cannot be read"
            self.notice = AppError(
                errors.FILE_UNREADABLE, detail=str(error), name=self._path.name, reason=_reason(error))
        except (ValueError, RecursionError) as error:
            backup = self._set_aside()
            log.info("the settings file is damaged (%s), kept as %s", error, backup)
            self.notice = AppError(errors.SETTINGS_DAMAGED, detail=str(error), backup=backup)

    def _set_aside(self) -> Path:
        """Rename the damaged file to a free name beside it; where that fails it stays and is never written over."""
        number = 1
        while (backup := self._path.with_name(f"{self._path.stem}.damaged-{number}{self._path.suffix}")).exists():
            number += 1
        try:
            self._path.replace(backup)
        except OSError as error:
            self._write_forbidden_because = _reason(error)
            return self._path
        return backup

    def _write(self, document: dict[str, Any]) -> None:
        folder = self._path.parent
        if self._write_forbidden_because:
            raise AppError(errors.SETTINGS_UNWRITABLE, folder=folder, reason=self._write_forbidden_because)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())
        except OSError as error:
            raise AppError(errors.SETTINGS_UNWRITABLE, detail=str(error), folder=folder, reason=_reason(error)) from error


def _empty_document() -> dict[str, Any]:
    return {"version": VERSION, "values": {}}


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_FILE_BYTES + 1)


def _parse(content: bytes) -> dict[str, Any]:
    """The document in the form of this version, or of a newer one; ValueError or RecursionError if it is damaged."""
    if len(content) > MAX_FILE_BYTES:
        raise ValueError("too large")
    loaded = json.loads(content.decode("utf-8-sig"))
    if not isinstance(loaded, dict):
        raise ValueError("not an object")
    document: dict[str, Any] = loaded
    version = document.get("version", 0)
    if isinstance(version, bool) or not isinstance(version, int) or version < 0:
        raise ValueError("no valid version")
    while version < VERSION:
        document = MIGRATIONS[version](document)
        version += 1
        document["version"] = version
    if not isinstance(document.get("values"), dict):
        raise ValueError("no values")
    return document


def _usable_values(raw: dict[str, Any]) -> dict[str, SettingValue]:
    usable: dict[str, SettingValue] = {}
    for key, value in raw.items():
        if key not in SPECS:
            continue
        try:
            usable[key] = validated(SPECS[key], value)
        except AppError as error:
            # Not the value itself: a proxy's may hold a password.
            log.warning("the value of %s in the settings file is not used: %s", key, error.action)
    return usable


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
