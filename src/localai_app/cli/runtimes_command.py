"""The command that shows which build of llama.cpp runs, and tests all of them: runtimes."""

from __future__ import annotations

from typing import Annotated

import typer

from localai_app.cli.session import Session
from localai_app.services.runtime_words import result_words


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command()(runtimes)


def runtimes(
    context: typer.Context,
    test: Annotated[bool, typer.Option("--test", help="Look for builds again and test every one.")] = False,
) -> None:
    """Show the builds of the engine (llama.cpp) on this computer, which one is used, and how they did in their self-test."""
    session: Session = context.obj
    with session.services() as services:
        rows = services.runtimes.test_all() if test else services.runtimes.rows()
        refused = services.runtimes.refused()
    session.output.document({
        "runtimes": [
            {"key": row.runtime.key, "name": row.name, "in_use": row.is_chosen, "folder": str(row.runtime.build.library_dir),
             "backends": [str(path) for path in row.runtime.backends], "test": row.result}
            for row in rows],
        "refused": refused,
    })
    for row in rows:
        session.output.words(f"{'*' if row.is_chosen else ' '} {row.name}: {result_words(row.result)}")
        session.output.words(f"    {row.runtime.build.library_dir}")
    if not rows:
        session.output.words("No build of the engine (llama.cpp) is installed.")
    for sentence in refused:
        session.output.words(f"! {sentence}")
