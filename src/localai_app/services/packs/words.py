"""Runtime packs in words, the same in the window and on the command line."""

from __future__ import annotations

from localai_app.progress import Progress
from localai_app.release.pack_document import Pack
from localai_app.services.packs.folders import InstalledPack
from localai_app.services.packs.installer import Phase
from localai_app.units import format_file_size


def size_words(pack: Pack) -> str:
    """What an installation costs, said before: “Download 640 MB, takes 1.1 GB”."""
    return f"Download {format_file_size(pack.archive.size_bytes)}, takes {format_file_size(pack.unpacked_bytes)}"


def installed_words(pack: InstalledPack) -> str:
    """A line about an installed version."""
    kept = "" if pack.is_current else ", the version before, kept for two weeks to go back to"
    return f"{pack.verified.label} {pack.verified.version}, takes {format_file_size(pack.verified.size_bytes)}{kept}"


def phase_words(phase: Phase, progress: Progress) -> str:
    """What is being done now."""
    if phase is Phase.DOWNLOADING:
        return f"Downloading: {format_file_size(progress.done)} of {format_file_size(progress.total)}" if progress.total else (
            "Starting the download")
    if phase is Phase.UNPACKING:
        return f"Unpacking and checking: {format_file_size(progress.done)} of {format_file_size(progress.total)}"
    return "Trying it out in a process of its own" if phase is Phase.TESTING else "Putting it to use"
