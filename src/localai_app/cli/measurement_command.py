"""The command that shows how far predictions were off on this computer, or forgets it: measurements."""

from __future__ import annotations

from typing import Annotated

import typer

from localai_app.cli.session import Session
from localai_app.fit.calibration import typical_error
from localai_app.services.measurement_words import measurement_rows, summary_words
from localai_app.units import format_count

SHOWN_ROWS = 30


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command()(measurements)


def measurements(
    context: typer.Context,
    forget: Annotated[bool, typer.Option("--forget", help="Forget them: predictions are no longer corrected.")] = False,
) -> None:
    """Show what was predicted of loads and answers on this computer, and what came of it."""
    session: Session = context.obj
    with session.services() as services:
        if forget:
            services.calibration.forget()
        found = services.calibration.measurements()
    session.output.document({
        "summary": summary_words(found),
        "memory_error": typical_error((one.predicted_bytes, one.measured_bytes) for one in found),
        "speed_error": typical_error((one.predicted_tps, one.measured_tps) for one in found),
        "measurements": found,
    })
    session.output.words(summary_words(found))
    rows = measurement_rows(found)
    if rows:
        session.output.words()
        session.output.table(
            ("MODEL", "WHERE", "WHAT", "PREDICTED", "MEASURED", "OFF BY"),
            [(row.model, row.where, row.what, row.predicted, row.measured, row.error_words) for row in rows[:SHOWN_ROWS]])
    if len(rows) > SHOWN_ROWS:
        session.output.words(f"{format_count(len(rows) - SHOWN_ROWS)} earlier ones: --json lists all of them.")
