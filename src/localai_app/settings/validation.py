"""Whether a value suits the declaration of its setting, and what would."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from localai_app import errors
from localai_app.errors import AppError
from localai_app.settings.addresses import parse_address, parse_addresses
from localai_app.settings.declaration import SPECS, Kind, SettingSpec, SettingValue
from localai_app.units import GIB, format_count

MAX_SHOWN_CHARACTERS = 60
_HINTS = {
    Kind.INTEGER: "Enter a whole number{range}.",
    Kind.NUMBER: "Enter a number{range}.",
    Kind.MEMORY: "Enter a size{range}.",
    Kind.SWITCH: "Enter “on” or “off”.",
    Kind.TEXT: "Enter one line of text.",
    Kind.LONG_TEXT: "Enter text.",
    Kind.FOLDER: "Enter the full path of a folder, or leave it empty.",
    Kind.ADDRESS: "Enter a computer and a port, such as 127.0.0.1:50052.",
    Kind.ADDRESSES: "Enter computers with their ports, such as 192.168.1.20:50052, with commas between them; 16 at most.",
    Kind.URL: "Enter an address that begins with http:// or https://, or leave it empty.",
}


def spec_of(key: str) -> SettingSpec:
    """The declaration of a setting; AppError SETTING_UNKNOWN if there is none."""
    try:
        return SPECS[key]
    except KeyError:
        raise AppError(errors.SETTING_UNKNOWN, key=key) from None


def validated(spec: SettingSpec, value: object) -> SettingValue:
    """The value as it is kept, in the type of its kind; AppError SETTING_INVALID with the allowed values as a hint."""
    accepted = _accepted(spec, value)
    if accepted is None:
        text = str(value)
        shown = text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[:MAX_SHOWN_CHARACTERS]}…"
        raise AppError(errors.SETTING_INVALID, value=shown, label=spec.label, hint=hint(spec))
    return accepted


def hint(spec: SettingSpec) -> str:
    """What may be entered, as one sentence."""
    if spec.kind is Kind.CHOICE:
        return f"Choose one of: {', '.join(choice.value for choice in spec.choices)}."
    return _HINTS[spec.kind].format(range=_range_words(spec))


def _range_words(spec: SettingSpec) -> str:
    unit = "" if not spec.unit else spec.unit if spec.unit == "%" else f" {spec.unit}"
    scale = GIB if spec.kind is Kind.MEMORY else 1
    low, high = (None if limit is None else _number_text(limit / scale) for limit in (spec.minimum, spec.maximum))
    if low is not None and high is not None:
        return f" from {low} to {high}{unit}"
    if low is not None:
        return f" of at least {low}{unit}"
    return f" of at most {high}{unit}" if high is not None else ""


def _number_text(limit: float) -> str:
    return format_count(int(limit)) if limit == int(limit) else f"{limit:g}"


def _accepted(spec: SettingSpec, value: object) -> SettingValue | None:
    match spec.kind:
        case Kind.SWITCH:
            return value if isinstance(value, bool) else None
        case Kind.INTEGER | Kind.NUMBER | Kind.MEMORY:
            return _number(spec, value)
        case Kind.CHOICE:
            return value if isinstance(value, str) and value in {choice.value for choice in spec.choices} else None
        case _:
            return _text(spec.kind, value) if isinstance(value, str) else None


def _number(spec: SettingSpec, value: object) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    if (spec.minimum is not None and value < spec.minimum) or (spec.maximum is not None and value > spec.maximum):
        return None
    if spec.kind is Kind.NUMBER:
        return float(value)
    return int(value) if value == int(value) else None


def _text(kind: Kind, value: str) -> str | None:
    if "\0" in value or not _is_unicode(value):
        return None
    if kind is Kind.LONG_TEXT:
        return value
    value = value.strip()
    if "\n" in value or "\r" in value:
        return None
    return _LINES.get(kind, str)(value)


def _folder(value: str) -> str | None:
    return value if not value or _is_full_path(value) else None


def _url(value: str) -> str | None:
    value = value.rstrip("/")
    return value if not value or _is_web_address(value) else None


def _address(value: str) -> str | None:
    return value if parse_address(value) is not None else None


def _addresses(value: str) -> str | None:
    found = parse_addresses(value)
    return None if found is None else ", ".join(found)


_LINES: dict[Kind, Callable[[str], str | None]] = {
    Kind.FOLDER: _folder, Kind.URL: _url, Kind.ADDRESS: _address, Kind.ADDRESSES: _addresses}
"""What one line of text becomes in settings of these kinds; None where it cannot be used."""


def _is_unicode(value: str) -> bool:
    """False for text with half of a surrogate pair, which no file can hold."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _is_full_path(value: str) -> bool:
    try:
        return Path(value).expanduser().is_absolute()
    except RuntimeError:  # the home of an unknown user: ~nobody-here
        return False


def _is_web_address(value: str) -> bool:
    if any(character.isspace() for character in value):
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
