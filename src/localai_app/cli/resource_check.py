"""Whether the program's own read-only files are there and can be read, and whether secure connections can be made."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

from localai_app.paths import installed_notices, is_frozen, resources_dir

_FOLDERS = ("catalog", "engine", "icons", "prompts", "release", "style", "texts")


def resource_problems() -> list[str]:
    """A sentence for each part of the program's files that is missing or damaged."""
    try:
        root = resources_dir()
    except FileNotFoundError as error:
        return [str(error)]
    problems = [f"the folder {name} of the program's resources is empty" for name in _FOLDERS if not _has_files(root / name)]
    for path in sorted(root.rglob("*.json")):
        try:
            json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            problems.append(f"the resource {path.relative_to(root).as_posix()} cannot be read ({error})")
    if not _has_icon_font():
        problems.append("the font of the icons is missing")
    if is_frozen() and installed_notices() is None:
        problems.append("the notices of third parties are missing")
    return problems


def connection_words() -> str:
    """“works” where a secure connection could be set up and a signature be checked; else what is wrong. Nothing is sent."""
    try:
        import ssl

        import truststore

        truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _sign_and_verify()
    except Exception as error:  # noqa: BLE001 - said in the report, whatever it is
        return f"{type(error).__name__}: {error}"
    return "works"


def _sign_and_verify() -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    key.public_key().verify(key.sign(b"localai"), b"localai")


def _has_files(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _has_icon_font() -> bool:
    spec = importlib.util.find_spec("qtawesome")
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    return any(sorted(Path(place).glob("fonts/phosphor-*.ttf")) for place in places)
