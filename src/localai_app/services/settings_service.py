"""Settings with their changes announced."""

from __future__ import annotations

from pathlib import Path

from localai_app import errors
from localai_app.errors import AppError
from localai_app.paths import AppPaths
from localai_app.services.events import EventBus, SettingChanged
from localai_app.settings.declaration import SPECS, Kind, SettingValue
from localai_app.settings.file import SettingsFile
from localai_app.units import parse_memory

_HINTS = {Kind.SWITCH: "Enter “on” or “off”.", Kind.MEMORY: "Enter a size such as 6 GiB."}


class SettingsService:
    """Reads and changes settings; every change is published as SettingChanged."""

    def __init__(self, file: SettingsFile, events: EventBus, paths: AppPaths) -> None:
        self._file = file
        self._events = events
        self._paths = paths

    @property
    def notice(self) -> AppError | None:
        """What went wrong while the file was read, if anything did."""
        return self._file.notice

    def get(self, key: str) -> SettingValue:
        """The value in force."""
        return self._file.get(key)

    def text(self, key: str) -> str:
        """The value of a setting that holds text."""
        return str(self._file.get(key))

    def integer(self, key: str) -> int:
        """The value of a setting that holds a whole number."""
        return int(self._file.get(key))

    def number(self, key: str) -> float:
        """The value of a setting that holds a number."""
        return float(self._file.get(key))

    def set(self, key: str, value: SettingValue) -> None:
        """Change a setting; AppError SETTING_INVALID if the declaration does not allow the value."""
        self._file.set(key, value)
        self._events.publish(SettingChanged(key))

    def set_from_text(self, key: str, text: str) -> None:
        """Change a setting from what somebody typed; AppError SETTING_INVALID if it cannot be understood."""
        spec = SPECS[key]
        try:
            value: SettingValue
            match spec.kind:
                case Kind.INTEGER:
                    value = int(text)
                case Kind.NUMBER:
                    value = float(text)
                case Kind.MEMORY:
                    value = parse_memory(text)
                case Kind.SWITCH:
                    value = {"true": True, "on": True, "yes": True, "false": False, "off": False, "no": False}[text.lower()]
                case _:
                    value = text
        except (ValueError, KeyError) as error:
            hint = _HINTS.get(spec.kind, "Enter a number.")
            raise AppError(errors.SETTING_INVALID, value=text, label=spec.label, hint=hint) from error
        self.set(key, value)

    def reset(self, key: str) -> None:
        """Back to the default."""
        self._file.reset(key)
        self._events.publish(SettingChanged(key))

    def is_changed(self, key: str) -> bool:
        """Whether the value differs from the default."""
        return key in self._file.changed_keys()

    @property
    def default_models_folder(self) -> Path:
        """The models folder that is used, and made, unless the user chose another one."""
        return self._paths.default_models

    @property
    def models_folder(self) -> Path:
        """The models folder in force."""
        chosen = self.text("models_folder")
        return Path(chosen).expanduser() if chosen else self._paths.default_models

    def existing_models_folder(self) -> Path:
        """The models folder in force, to write into; AppError FOLDER_MISSING, FOLDER_READ_ONLY.

        Only the default one is made: the drive of another one may not be connected.
        """
        folder = self.models_folder
        if folder == self.default_models_folder:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise AppError(errors.FOLDER_READ_ONLY, folder=folder, detail=str(error)) from error
        if not folder.is_dir():
            raise AppError(errors.FOLDER_MISSING, folder=folder)
        return folder
