"""The command for prompt sets: prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from localai_app.cli.output import Output
from localai_app.cli.session import Session
from localai_app.compare.checking import check_words
from localai_app.compare.prompt_file import ReadPrompts
from localai_app.compare.prompts import PromptSet
from localai_app.services.app_services import AppServices

EXIT_WRONG = 1


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command()(prompts)


def prompts(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A prompt set to show, such as Reasoning. Without it all sets are listed.")] = "",
    check: Annotated[
        Path | None,
        typer.Option("--check", help="Say what is wrong in a file of prompts (.json, .jsonl, .csv, .txt, .md).")] = None,
    add: Annotated[Path | None, typer.Option("--add", help="Keep the prompts of a file as the set NAME.")] = None,
    export: Annotated[Path | None, typer.Option("--export", help="Write the set NAME into a .json file.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Forget the set NAME.")] = False,
) -> int:
    """List the prompt sets for comparisons, show one, or check, add, export or remove one."""
    session: Session = context.obj
    if sum((check is not None, add is not None, export is not None, remove)) > 1:
        raise typer.BadParameter("only one of --check, --add, --export and --remove can be given")
    if (export is not None or remove) and not name:
        raise typer.BadParameter("the name of a set has to be given", param_hint="NAME")
    with session.services() as services:
        if check is not None:
            return _check(session.output, services, check)
        _show(session.output, _changed(services, name, add, export, is_removed=remove))
    return 0


def _changed(
    services: AppServices, name: str, add: Path | None, export: Path | None, *, is_removed: bool,
) -> tuple[tuple[PromptSet, ...], str]:
    """Do what is asked; the sets to show, and a sentence about what was done."""
    sets = services.compare.prompt_sets
    if add is not None:
        found = sets.from_file(add)
        kept = sets.save(msgspec.structs.replace(found, name=name or sets.free_name(found.name)))
        return (kept,), f"Kept as {kept.name}."
    if export is not None:
        sets.export(name, export)
        return (sets.get(name),), f"Written to {export}."
    if is_removed:
        removed = sets.remove(name)
        return (removed,), f"{removed.name} is forgotten."
    return ((sets.get(name),) if name else sets.sets()), ""


def _check(output: Output, services: AppServices, path: Path) -> int:
    """Read a file and say what is wrong in it; the exit code."""
    found: ReadPrompts = services.compare.prompt_sets.read_file(path)
    known = found.prompt_set.prompts if found.prompt_set is not None else ()
    output.document({
        "ok": not found.problems, "prompts": len(known),
        "problems": [{"line": problem.line, "message": problem.words} for problem in found.problems]})
    for problem in found.problems:
        output.words(str(problem))
    n_checked = sum(bool(prompt.checks) for prompt in known)
    output.words(
        f"{_counted(len(known), 'prompt')} can be used, {n_checked} of them with checks."
        + ("" if found.problems else " Nothing is wrong."))
    return EXIT_WRONG if found.problems else 0


def _show(output: Output, shown: tuple[tuple[PromptSet, ...], str]) -> None:
    sets, done = shown
    output.document({"sets": sets})
    if done:
        output.words(done)
    elif len(sets) == 1:
        _print_set(output, sets[0])
    else:
        output.table(("SET", "PROMPTS", "CHECKED", "ABOUT"), [
            (known.name, str(len(known.prompts)), str(sum(bool(prompt.checks) for prompt in known.prompts)),
             known.description or "Your own.") for known in sets])


def _print_set(output: Output, known: PromptSet) -> None:
    output.words(known.name)
    if known.description:
        output.words(known.description)
    for number, prompt in enumerate(known.prompts, 1):
        output.words()
        output.words(f"{number}." + (f" [{prompt.tag}]" if prompt.tag else ""))
        for line in prompt.text.splitlines():
            output.words(f"   {line}")
        for check in prompt.checks:
            output.words(f"   - right if the answer {check_words(check)}")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")
