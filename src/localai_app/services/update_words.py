"""What is known of newer versions, in sentences for the window and the command line."""

from __future__ import annotations

from datetime import datetime, timedelta

from localai_app.services.installation import Installation, InstallationKind
from localai_app.services.update_source import Offer
from localai_app.services.update_steps import UpdateState, UpdateStatus
from localai_app.units import format_file_size

KINDS = {
    InstallationKind.SOURCE: "Runs from its source.", InstallationKind.DEB: "Installed from a .deb package.",
    InstallationKind.TAR: "Unpacked from an archive.", InstallationKind.APPIMAGE: "Runs from an AppImage.",
    InstallationKind.SETUP: "Installed by setup.exe.", InstallationKind.DMG: "Installed from a disk image.",
}
NO_ADDRESS = "This copy was built without an address to ask for newer versions, so it asks nobody."


def status_words(state: UpdateState, installed_version: str) -> str:
    """One sentence about where things stand."""
    offer = state.offer
    version = offer.version if offer is not None else ""
    size = f", {format_file_size(offer.artefact.size_bytes)}" if offer is not None and offer.artefact is not None else ""
    return {
        UpdateStatus.NOT_CONFIGURED: NO_ADDRESS,
        UpdateStatus.OFF: "Looking for newer versions is turned off; nobody is asked.",
        UpdateStatus.UNKNOWN: "It is not known whether there is a newer version." if state.asked is not None
        else "Nobody was asked for a newer version yet.",
        UpdateStatus.CHECKING: "Looking for a newer version…",
        UpdateStatus.CURRENT: f"Local AI {installed_version} is the newest version.",
        UpdateStatus.AVAILABLE: f"Local AI {version} is available{size}.",
        UpdateStatus.DOWNLOADING: f"Downloading Local AI {version}…",
        UpdateStatus.DOWNLOADED: f"Local AI {version} is downloaded and verified.",
    }[state.status]


def installation_words(installation: Installation) -> str:
    """How this copy came onto the computer."""
    return KINDS[installation.kind]


def notice_words(state: UpdateState) -> str:
    """What the line on top of the pages says; empty where it is not wanted."""
    if state.offer is None or state.is_hidden:
        return ""
    match state.status:
        case UpdateStatus.AVAILABLE:
            return f"Local AI {state.offer.version} is available."
        case UpdateStatus.DOWNLOADING:
            return f"Downloading Local AI {state.offer.version}: {state.progress.fraction:.0%}"
        case UpdateStatus.DOWNLOADED:
            return f"Local AI {state.offer.version} is downloaded and can be installed."
        case _:
            return ""


def offer_facts(offer: Offer, installed_version: str) -> str:
    """Size and date of a newer version, and what runs now."""
    date = f"{offer.published.day} {offer.published:%B %Y}"
    size = f"{format_file_size(offer.artefact.size_bytes)} to download · " if offer.artefact is not None else ""
    return f"{size}Published on {date} · You have {installed_version}"


def progress_words(state: UpdateState) -> str:
    """How far a download is, or that it is done; empty else."""
    if state.status is UpdateStatus.DOWNLOADING:
        done, total = state.progress.done, state.progress.total
        return f"{format_file_size(done)} of {format_file_size(total)} downloaded" if total else "The download begins"
    return "Downloaded, and verified to be what the publishers signed" if state.file is not None else ""


def asked_words(asked: datetime | None, now: datetime) -> str:
    """When somebody was asked for the last time, in the time zone of `now`; empty before the first time."""
    if asked is None:
        return ""
    local = asked.astimezone(now.tzinfo)
    if local.date() == now.date():
        return f"Last asked today at {local:%H:%M}."
    if local.date() == (now - timedelta(days=1)).date():
        return f"Last asked yesterday at {local:%H:%M}."
    return f"Last asked on {local.day} {local:%B %Y}."
