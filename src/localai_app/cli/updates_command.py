"""The command that looks for a newer version, and downloads it where that is wanted: updates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from localai_app.cli.session import Session
from localai_app.services.update_install import hand_words
from localai_app.services.update_words import status_words
from localai_app.services.updates import UpdateService


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command()(updates)


def updates(
    context: typer.Context,
    download: Annotated[bool, typer.Option("--download", help="Download the installer of a newer version, too.")] = False,
) -> None:
    """Ask the publishers of Local AI for a newer version. Nothing is installed; nothing about this computer is sent."""
    session: Session = context.obj
    with session.services() as services:
        service = services.updates
        service.check()
        is_new = service.state.offer is not None
        if download and is_new:
            service.download(session.output.progress)
            session.output.end_progress()
        session.output.document(_document(service))
        _say(session, service)


def _document(service: UpdateService) -> dict[str, object]:
    state, offer = service.state, service.state.offer
    artefact = offer.artefact if offer is not None else None
    return {
        "installed": service.source.installed_version,
        "installation": service.source.installation.artefact or service.source.installation.kind.value,
        "status": state.status.value,
        "newest": None if offer is None else {
            "version": offer.version, "published": offer.published, "notes": offer.notes,
            "obstacle": None if offer.obstacle is None else {
                "code": offer.obstacle.code, "message": offer.obstacle.message, "action": offer.obstacle.action},
            "file": None if artefact is None else {
                "name": artefact.file_name, "size_bytes": artefact.size_bytes, "sha256": artefact.sha256}},
        "downloaded": None if state.file is None else str(state.file),
    }


def _say(session: Session, service: UpdateService) -> None:
    state, offer = service.state, service.state.offer
    session.output.words(status_words(state, service.source.installed_version))
    if offer is None:
        return
    if offer.notes:
        session.output.words()
        session.output.words(offer.notes.strip())
        session.output.words()
    if offer.obstacle is not None:
        session.output.words(f"{offer.obstacle.message} {offer.obstacle.action}")
    elif state.file is None:
        session.output.words("Download it with `localai-app updates --download`.")
    else:
        session.output.words(_file_words(service, state.file))


def _file_words(service: UpdateService, file: Path) -> str:
    return f"It is downloaded and verified: {file}\n{hand_words(service.source.installation.kind, file)}"
