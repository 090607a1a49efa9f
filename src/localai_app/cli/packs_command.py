"""The commands for runtime packs: packs list, install, remove."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from localai_app.cli.session import Session
from localai_app.progress import Progress
from localai_app.services.packs.installer import Job, Phase
from localai_app.services.packs.words import installed_words, phase_words, size_words

packs = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True,
    help="Optional back ends of the engine for cards that gain from them: signed, checked, tried out before they are used.")


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.add_typer(packs, name="packs")


@packs.command("list")
def list_packs(
    context: typer.Context,
    installed: Annotated[bool, typer.Option("--installed", help="Only what is installed here; nobody is asked.")] = False,
) -> None:
    """Show the runtime packs that are installed, and ask the publishers which ones there are for this computer."""
    session: Session = context.obj
    with session.services() as services:
        here = services.packs.work.installed()
        offers = () if installed else services.packs.work.look()
    session.output.document({
        "installed": [
            {"pack_id": each.verified.pack_id, "version": each.verified.version, "label": each.verified.label,
             "engine_id": each.verified.engine_id, "size_bytes": each.verified.size_bytes, "in_use": each.is_current,
             "folder": str(each.folder)} for each in here],
        "offers": [
            {"pack_id": offer.pack.pack_id, "version": offer.pack.version, "label": offer.pack.label,
             "standing": offer.standing.value, "reason": offer.reason, "download_bytes": offer.pack.archive.size_bytes,
             "unpacked_bytes": offer.pack.unpacked_bytes} for offer in offers],
    })
    for each in here:
        session.output.words(f"* {each.verified.pack_id}: {installed_words(each)}")
    for offer in offers:
        session.output.words(f"  {offer.pack.pack_id}: {offer.pack.label} {offer.pack.version}. {offer.reason}")
        if offer.can_install:
            session.output.words(f"    {size_words(offer.pack)}: localai-app packs install {offer.pack.pack_id}")
    if not here and not offers:
        session.output.words("No runtime pack is installed." if installed else "There is no runtime pack for this computer.")


@packs.command()
def install(
    context: typer.Context,
    pack: Annotated[str, typer.Argument(help="Its name, as `packs list` shows it.")] = "",
    from_file: Annotated[
        Path | None,
        typer.Option("--from", help="An archive that was downloaded by other means, with its signed packs.json beside it."),
    ] = None,
) -> None:
    """Download a runtime pack, check it, try it out in a process of its own and put it to use."""
    session: Session = context.obj
    if (from_file is None) == (not pack):
        raise typer.BadParameter("name a pack, or a file with --from", param_hint="PACK")
    said: list[Phase] = []

    def on_step(phase: Phase, progress: Progress) -> None:
        if phase not in said:
            said.append(phase)
            if phase in (Phase.TESTING, Phase.FINISHING):
                session.output.say(f"{phase_words(phase, progress)}.")
        if progress.total:
            session.output.overwrite(phase_words(phase, progress))

    job = Job(on_step)
    with session.services() as services:
        try:
            done = services.packs.work.install_file(from_file.absolute(), job) if from_file is not None else (
                services.packs.work.install(pack, job))
        finally:
            job.end()
            session.output.end_progress()
    session.output.document({
        "pack_id": done.verified.pack_id, "version": done.verified.version, "folder": str(done.folder)})
    session.output.words(f"{done.verified.label} {done.verified.version} is installed.")


@packs.command()
def remove(context: typer.Context, pack: Annotated[str, typer.Argument(help="Its name, as `packs list` shows it.")]) -> None:
    """Take a runtime pack away; what ran before it runs again."""
    session: Session = context.obj
    with session.services() as services:
        freed_bytes = services.packs.work.remove(pack)
    session.output.document({"pack_id": pack, "freed_bytes": freed_bytes})
    session.output.words(f"{pack} was removed.")
