"""The command that has a model judge a comparison: judge."""

from __future__ import annotations

from typing import Annotated

import typer

from localai_app.cli.session import Session, StoppedError
from localai_app.compare.blind import BlindNames
from localai_app.compare.comparison import Vote


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command()(judge)


def judge(
    context: typer.Context,
    comparison: Annotated[int, typer.Argument(help="Number of a comparison, as `comparisons` lists them.")],
    model: Annotated[str, typer.Argument(help="An installed model, best one that is not compared.")],
    insist: Annotated[bool, typer.Option("--insist", help="Also let it judge its own answers.")] = False,
) -> None:
    """Let a model vote on all answers of a comparison, two at a time and in both orders; kept apart from your own votes."""
    session: Session = context.obj
    with session.services() as services:
        judging = services.compare.judging
        judging.start(comparison, model, insists=insist)
        try:
            while not judging.wait(0.2):
                session.output.overwrite(judging.state.words)
        except StoppedError:
            session.output.say("What was judged is kept; the same command goes on.")
            raise
        finally:
            session.output.end_progress()
        state = judging.state
        if state.error is not None:
            raise state.error
        judged = services.compare.comparisons.get(comparison)
    votes = [vote for vote in judged.votes if vote.judge == state.model_key]
    names = BlindNames(judged)
    session.output.document({
        "comparison": comparison, "judge": state.model_key, "judged": state.n_done, "of": state.n_total,
        "order_mattered": state.n_split, "unclear": state.n_unclear, "cut": state.n_cut,
        "votes": [vote for vote in votes if names.is_revealed(vote.prompt, vote.repeat)]})
    session.output.words(state.words)
    for words in _wins(names, len(judged.spec.contestants), votes):
        session.output.words(words)


def _wins(names: BlindNames, n_contestants: int, votes: list[Vote]) -> list[str]:
    """How often each was best; nothing that a blind comparison hides."""
    known = [names.listed_name(place) for place in range(n_contestants)]
    return [
        f"{name}: best {sum(vote.winner == place for vote in votes)} of {len(votes)} times"
        for place, name in enumerate(known) if name is not None] or ["Whom it prefers is hidden until you have voted yourself."]
