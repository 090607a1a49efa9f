"""Folders of runtime packs: which are finished, and which one of several versions counts.

A pack lies in `runtimes/<engine_id>/<pack_id>-<version>/` with `pack.json`, its entry of the signed list. `.verified` is
written last, after its files were checked and its back ends computed right: without it nothing in the folder is loaded. Of
several versions of a pack the one that was verified last counts; the one before is kept for a while, to go back to.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

PACK_NAME = "pack.json"
VERIFIED_NAME = ".verified"
_MOST_BYTES = 64 * 1024


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What `.verified` says of a pack."""

    pack_id: str
    engine_id: str
    version: str
    label: str
    archive_sha256: str
    size_bytes: int
    """Unpacked."""
    installed_s: float
    """When, in seconds since 1970."""
    order: int
    """Grows with every installation here: the highest of a pack counts."""


def read_verified(folder: Path) -> Verified | None:
    """What was written when the pack in this folder was finished; None for one that is not."""
    try:
        with (folder / VERIFIED_NAME).open("rb") as file:
            return msgspec.json.decode(file.read(_MOST_BYTES), type=Verified)
    except (OSError, msgspec.MsgspecError):
        return None


def is_pack(folder: Path) -> bool:
    """Whether a folder was made by an installation of a pack, finished or not."""
    return (folder / PACK_NAME).exists()


def superseded(folders: Iterable[Path]) -> frozenset[Path]:
    """Those of these pack folders in whose place a newer version is used."""
    newest: dict[tuple[str, str], tuple[int, Path]] = {}
    known = [(folder, verified) for folder in folders if (verified := read_verified(folder)) is not None]
    for folder, verified in known:
        key = (verified.engine_id, verified.pack_id)
        if key not in newest or verified.order > newest[key][0]:
            newest[key] = (verified.order, folder)
    used = {folder for _order, folder in newest.values()}
    return frozenset(folder for folder, _verified in known if folder not in used)
