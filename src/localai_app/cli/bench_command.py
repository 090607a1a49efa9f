"""The command that measures how fast an installed model is: bench."""

from __future__ import annotations

from typing import Annotated

import typer

from localai_app.cli.session import Session
from localai_app.services.app_services import AppServices
from localai_app.services.benchmark_words import (
    benchmark_lines,
    date_words,
    difference_words,
    earlier_of,
    figure_tps,
    setup_words,
)
from localai_app.services.benchmarks import DEPTHS, PROMPT_TOKENS, REPEATS, BenchmarkState, BenchmarkStatus, BenchmarkWish
from localai_app.store.records import BenchmarkRecord
from localai_app.units import format_wait

MAX_TOKENS = 1_048_576


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command()(bench)


def bench(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="An installed model, as `models` lists it, or a .gguf file.")],
    prompt: Annotated[
        str, typer.Option("--prompt", help="Lengths of prompts in tokens, with commas.")] = ",".join(map(str, PROMPT_TOKENS)),
    depth: Annotated[
        str, typer.Option("--depth", help="Tokens in the context before an answer, with commas.")] = ",".join(map(str, DEPTHS)),
    tokens: Annotated[int, typer.Option("--tokens", min=1, max=4096, help="Tokens of each answer.")] = 32,
    repeat: Annotated[int, typer.Option("--repeat", min=1, max=100, help="How often each is measured.")] = REPEATS,
    history: Annotated[bool, typer.Option("--history", help="Measure nothing: show what was measured earlier.")] = False,
) -> None:
    """Measure how fast a model reads prompts and answers at several depths, and compare with the last time."""
    session: Session = context.obj
    wish = BenchmarkWish(_counts(prompt, "--prompt", 1), _counts(depth, "--depth", 0), tokens, repeat)
    with session.services() as services:
        key = services.library.get(model).key
        if history:
            _print_history(session, services.benchmarks.records(key))
            return
        session.output.say(f"Measuring {key} ...")
        record = _run(session, services, key, wish)
        earlier = earlier_of(record, services.benchmarks.records(key))
    session.output.document({"result": benchmark_document(record), "earlier": benchmark_document(earlier)})
    _print_record(session, record, earlier)


def _run(session: Session, services: AppServices, key: str, wish: BenchmarkWish) -> BenchmarkRecord:
    """Run it to its end with its progress on the terminal; raises what went wrong."""
    services.benchmarks.start(key, wish)
    try:
        while not services.benchmarks.wait(0.2):
            session.output.overwrite(_progress_words(services.benchmarks.state))
    finally:
        session.output.end_progress()
    state = services.benchmarks.state
    if state.record is None:
        assert state.error is not None
        raise state.error
    return state.record


def _progress_words(state: BenchmarkState) -> str:
    if state.status is BenchmarkStatus.LOADING:
        return f"loading, {state.fraction:.0%}"
    left = f", {format_wait(state.left_s)} left" if state.left_s is not None else ""
    return f"measuring, {state.fraction:.0%}{left}"


def benchmark_document(record: BenchmarkRecord | None) -> dict[str, object] | None:
    """A result for JSON: as it is kept, with its speeds."""
    if record is None:
        return None
    figures = [
        {"kind": one.kind, "tokens": one.tokens, "depth": one.depth, "seconds": one.seconds,
         "tps": round(tps, 3) if (tps := figure_tps(one)) is not None else None}
        for one in record.figures]
    fields: dict[str, object] = {name: getattr(record, name) for name in record.__struct_fields__}
    return {**fields, "figures": figures}


def _print_record(session: Session, record: BenchmarkRecord, earlier: BenchmarkRecord | None) -> None:
    output = session.output
    output.words(f"{record.model_name} {record.label}".rstrip())
    output.words(setup_words(record))
    output.words()
    lines = benchmark_lines(record, earlier)
    if earlier is None:
        output.table(("WHAT", "SPEED", "SPREAD"), [(line.what, line.speed, line.spread) for line in lines])
        return
    output.table(
        ("WHAT", "SPEED", "SPREAD", "EARLIER", "CHANGE"),
        [(line.what, line.speed, line.spread, line.earlier, line.change) for line in lines])
    difference = difference_words(record, earlier)
    output.words(f"Earlier: {date_words(earlier)}, " + (f"with {difference}." if difference else "set up in the same way."))


def _print_history(session: Session, records: tuple[BenchmarkRecord, ...]) -> None:
    session.output.document({"results": [benchmark_document(record) for record in records]})
    if not records:
        session.output.words("Nothing was measured yet: run `localai-app bench` without --history.")
    for record in records:
        session.output.words(date_words(record))
        _print_record(session, record, None)
        session.output.words()


def _counts(text: str, option: str, least: int) -> tuple[int, ...]:
    """Numbers with commas between them; none at all for an empty text."""
    try:
        counts = tuple(int(part.replace("_", "")) for part in text.split(",") if part.strip())
    except ValueError:
        counts = (-1,)
    if any(not least <= count <= MAX_TOKENS for count in counts):
        raise typer.BadParameter("give numbers of tokens with commas between them, such as 128,512", param_hint=option)
    return counts
