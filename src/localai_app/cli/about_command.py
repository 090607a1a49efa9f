"""The command that says what this installation is: about."""

from __future__ import annotations

from typing import Annotated

import typer

from localai_app.cli.session import Session
from localai_app.services.about import TERMS, about_now


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command()(about)


def about(
    context: typer.Context,
    notices: Annotated[bool, typer.Option("--notices", help="Print the notices of all works of others in it.")] = False,
) -> None:
    """Show the version, the build of the engine in use, and where the notices of third parties are."""
    session: Session = context.obj
    with session.services() as services:
        facts = about_now(services.runtimes)
    text = facts.notices.read_text(encoding="utf-8") if notices and facts.notices is not None else ""
    session.output.document({
        "version": facts.version, "engine": facts.engine, "license": TERMS,
        "notices": str(facts.notices) if facts.notices is not None else None, **({"notices_text": text} if notices else {}),
    })
    if notices:
        session.output.words(text.rstrip() or facts.notices_words)
        return
    session.output.words(f"Local AI {facts.version}, {TERMS}")
    session.output.words(f"Engine: {facts.engine or 'none'}")
    session.output.words(f"Third parties: {facts.notices or facts.notices_words}")
