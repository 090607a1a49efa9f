"""What a build of the program trusts: the trust.json of the repository, which is empty, or the one of a release."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path, PurePath

from localai_app.errors import AppError
from localai_app.release.trust import load_trust
from tools.dev.console import StepError
from tools.dev.environment import ROOT

TRUST_VARIABLE = "LOCALAI_TRUST_FILE"
EMPTY = ROOT / "resources" / "release" / "trust.json"
_PLACE_IN_BUNDLE = ("resources", "release", "trust.json")


def trust_file() -> Path:
    """The file that goes into a bundle: what LOCALAI_TRUST_FILE names, else the empty one.

    StepError for a file that the program would refuse, or that lacks keys or addresses.
    """
    chosen = os.environ.get(TRUST_VARIABLE, "")
    if not chosen:
        return EMPTY
    path = Path(chosen).absolute()
    try:
        trust = load_trust(path)
    except AppError as error:
        raise StepError(f"{TRUST_VARIABLE} names a file that the program would refuse: {error.detail or error}.") from error
    if not trust.is_configured:
        raise StepError(f"{TRUST_VARIABLE} names a file without a key or without an address.")
    return path


def words_about(path: Path) -> str:
    """One line for whoever builds: which keys the bundle will believe."""
    ids = ", ".join(key.key_id for key in load_trust(path).keys)
    if not ids:
        return "without keys: this build cannot check for updates or packs, and says so"
    return f"with the keys {ids} for updates and packs"


def with_trust(files: Iterable[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """PyInstaller's list of data files (place in the bundle, source, kind), with the chosen trust.json in it."""
    source = str(trust_file())
    kept = [entry for entry in files if not is_trust_file(entry[0])]
    return [*kept, (str(PurePath("localai_app", *_PLACE_IN_BUNDLE)), source, "DATA")]


def is_trust_file(place: str) -> bool:
    """Whether a place in a bundle is the one of trust.json."""
    return PurePath(place).parts[-3:] == _PLACE_IN_BUNDLE
