"""The command for standings of all votes: leaderboard."""

from __future__ import annotations

from typing import Annotated

import typer

from localai_app.cli.session import Session
from localai_app.compare.leaderboard import By, Judges, Leaderboard, Share, Standing
from localai_app.units import format_file_size, format_speed


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command()(leaderboard)


def leaderboard(
    context: typer.Context,
    tag: Annotated[
        str | None, typer.Option("--tag", help='Only prompts about this, such as coding; "" for those without a tag.')] = None,
    judges: Annotated[Judges, typer.Option("--judges", help="Whose votes count.")] = Judges.PEOPLE,
    by: Annotated[By, typer.Option("--by", help="What has a row of its own.")] = By.VARIANT,
) -> None:
    """Show which models were preferred in all comparisons, how sure that is, and how fast they were here."""
    session: Session = context.obj
    with session.services() as services:
        board = services.compare.leaderboard.standings(tag, judges, by)
    session.output.document({
        "tag": tag, "judges": judges, "by": by, "votes": board.n_votes, "tags": board.tags, "notes": board.notes,
        "rows": [_document(row) for row in board.rows]})
    if not board.rows:
        session.output.words("Nobody has voted yet. Compare models, then say which answer is best.")
        return
    session.output.table(
        ("Place", "Model", "Points", "95% interval", "Meaning", "Votes", "Wins", "Ties", "Right", "Speed", "Size"),
        [_cells(row) for row in board.rows])
    for note in notes_of(board):
        session.output.words(note)


def notes_of(board: Leaderboard) -> tuple[str, ...]:
    """What has to be known to read it, also where nobody voted."""
    return board.notes or ("Nobody has voted on these yet: there are only checks and speeds.",)


def _cells(row: Standing) -> tuple[str, ...]:
    known = row.strength
    return (
        str(row.rank or "–"), row.name, f"{known.points:.0f}" if known else "–",
        f"{known.low:.0f} to {known.high:.0f}" if known else "–", row.words, str(row.n_votes), str(row.n_wins),
        str(row.n_ties + row.n_all_bad), _right_words(row.right), format_speed(row.tps) if row.tps else "–",
        format_file_size(row.size_bytes) if row.size_bytes else "–")


def _right_words(right: Share) -> str:
    return f"{right.n_right} of {right.n}" if right.n else "–"


def _document(row: Standing) -> dict[str, object]:
    known = row.strength
    return {
        "rank": row.rank, "group": row.group, "model": row.model_key, "name": row.name, "settings": row.settings,
        "points": round(known.points, 1) if known else None, "low": round(known.low, 1) if known else None,
        "high": round(known.high, 1) if known else None, "words": row.words,
        "beats_next": round(known.beats_next, 4) if known and known.beats_next is not None else None,
        "votes": row.n_votes, "wins": row.n_wins, "ties": row.n_ties, "all_bad": row.n_all_bad,
        "right": row.right.n_right, "checked": row.right.n,
        "right_interval": [round(end, 4) for end in row.right.interval] if row.right.n else None,
        "tps": round(row.tps, 2) if row.tps else None, "is_speed_shared": row.is_speed_shared if row.tps else None,
        "size_bytes": row.size_bytes,
    }
