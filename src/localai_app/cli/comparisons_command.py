"""The commands about comparisons that are kept: comparisons list, show, export, import, resume, delete."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from localai_app.cli.compare_command import run_comparison
from localai_app.cli.session import Session
from localai_app.compare.comparison import Comparison
from localai_app.services.compare.exporting import (
    ExportFormat,
    export_text,
    format_of,
    read_export,
    suggested_name,
    write_export,
)
from localai_app.services.compare.history import HistoryEntry, history_entry

NumberArgument = Annotated[int, typer.Argument(help="The number of a comparison, as `comparisons` lists it.", metavar="NUMBER")]
commands = typer.Typer(
    invoke_without_command=True, rich_markup_mode=None,
    help="List the comparisons that are kept, show, export, resume or delete one. A blind one tells no names before the votes.")


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.add_typer(commands, name="comparisons")


@commands.callback()
def main(context: typer.Context) -> None:
    """List the comparisons that are kept, show, export, resume or delete one. A blind one tells no names before the votes."""
    if context.invoked_subcommand is None:
        list_comparisons(context)


@commands.command("list")
def list_comparisons(
    context: typer.Context,
    search: Annotated[str, typer.Option("--search", help="Only those with these words in prompts, answers or names.")] = "",
) -> None:
    """List the comparisons that are kept, newest first."""
    session: Session = context.obj
    with session.services() as services:
        entries = [history_entry(row) for row in services.compare.comparisons.rows(search)]
    session.output.document({"comparisons": [_document(entry) for entry in entries]})
    if entries:
        session.output.table(
            ("number", "state", "answers", "votes", "contestants", "prompt"),
            [(str(entry.id), entry.state_words, f"{entry.n_answers} of {entry.n_cells}", str(entry.n_votes), entry.contestants,
              _short(entry.title)) for entry in entries])
    else:
        session.output.words("No comparison has these words in it." if search.strip() else "No comparison is kept yet.")


@commands.command()
def show(context: typer.Context, number: NumberArgument) -> None:
    """Show a comparison with its answers and figures; with --json all of it, as `export --format json` writes it."""
    session: Session = context.obj
    with session.services() as services:
        comparison = services.compare.comparisons.get(number)
    _print(session, comparison)


@commands.command()
def export(
    context: typer.Context,
    number: NumberArgument,
    form: Annotated[
        ExportFormat | None, typer.Option("--format", help="As what; without it as the file's name says, or Markdown.")] = None,
    to: Annotated[
        Path | None, typer.Option("-o", "--output", help="The file, or a folder; it gets a name of its own there.")] = None,
) -> None:
    """Write a comparison to a file: Markdown, HTML with charts, CSV with a row for each answer, or complete JSON."""
    session: Session = context.obj
    with session.services() as services:
        comparison = services.compare.comparisons.get(number)
    chosen = form or (format_of(to) if to is not None else None) or ExportFormat.MARKDOWN
    folder = to or Path()
    path = folder / suggested_name(comparison, chosen) if folder.is_dir() else folder
    write_export(comparison, chosen, path)
    session.output.document({"comparison": number, "format": chosen, "file": str(path.absolute())})
    session.output.words(f"Written to {path.absolute()}")


@commands.command("import")
def import_comparison(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A comparison that was exported as JSON.")],
) -> None:
    """Add a comparison that was exported as JSON."""
    session: Session = context.obj
    with session.services() as services:
        number = services.compare.comparisons.restore(read_export(file))
    session.output.document({"comparison": number})
    session.output.words(f"Kept as comparison {number}.")


@commands.command()
def resume(context: typer.Context, number: NumberArgument) -> None:
    """Go on with a comparison that was cut off or cancelled; what is answered is not asked again."""
    session: Session = context.obj
    with session.services() as services:
        services.compare.comparisons.resume(number)
        comparison = run_comparison(session, services, number)
    _print(session, comparison)


@commands.command()
def delete(context: typer.Context, number: NumberArgument) -> None:
    """Delete a comparison with its answers and votes."""
    session: Session = context.obj
    with session.services() as services:
        services.compare.comparisons.get(number)
        services.compare.comparisons.delete(number)
    session.output.document({"deleted": number})
    session.output.words(f"Comparison {number} is deleted.")


def _document(entry: HistoryEntry) -> dict[str, object]:
    return {
        "comparison": entry.id, "title": entry.title, "created_s": entry.created_s, "contestants": entry.contestants,
        "way": entry.way or None, "state": entry.state, "answers": entry.n_answers, "cells": entry.n_cells,
        "votes": entry.n_votes}


def _print(session: Session, comparison: Comparison) -> None:
    if session.output.is_json:
        session.output.document(msgspec.Raw(export_text(comparison, ExportFormat.JSON).encode("utf-8", "replace")))
    else:
        session.output.words(export_text(comparison, ExportFormat.MARKDOWN))


def _short(title: str) -> str:
    words = " ".join(title.split())
    return words if len(words) <= 60 else f"{words[:59]}…"
