"""The command that asks several models the same: compare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from localai_app.cli.load_commands import CtxOption
from localai_app.cli.sampling_options import SamplingChoices, with_sampling_options
from localai_app.cli.session import Session, StoppedError
from localai_app.compare.comparison import AnswerRecord, Comparison, ComparisonSpec, Way
from localai_app.compare.contestant import MAX_CONTESTANTS, MIN_CONTESTANTS, Contestant
from localai_app.compare.names import contestant_names
from localai_app.compare.prompts import Prompt
from localai_app.services.app_services import AppServices
from localai_app.services.compare.running_state import ContestantPhase, RunningState
from localai_app.units import format_duration, format_gib, format_speed, format_wait, parse_memory

MOST_PRINTED = 12
"""More answers than this are not printed one by one."""


class WayOption(StrEnum):
    """Ways as they are written on a command line."""

    AUTO = "auto"
    SIDE_BY_SIDE = "side-by-side"
    IN_TURN = "in-turn"

    @property
    def way(self) -> Way | None:
        """As the comparison has it."""
        return None if self is WayOption.AUTO else Way(self.value.replace("-", "_"))


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command()(with_sampling_options(compare))


def compare(
    context: typer.Context,
    models: Annotated[list[str], typer.Argument(help="Two to six installed models; the same one twice is fine.")],
    prompt: Annotated[str | None, typer.Option("-p", "--prompt", help="What to ask.")] = None,
    prompts: Annotated[
        Path | None, typer.Option("--prompts", help="A file with prompts: JSON, JSON lines, CSV or plain text.")] = None,
    prompt_set: Annotated[str | None, typer.Option("--set", help="A prompt set by its name, built in or your own.")] = None,
    repeats: Annotated[int, typer.Option("--repeats", min=1, max=1000, help="How often each prompt is asked.")] = 1,
    system: Annotated[str | None, typer.Option("--system", help="Instructions for all models.")] = None,
    same_seed: Annotated[
        bool, typer.Option(help="All models answer a repeat with the same seed, or each answer has its own.")] = True,
    way: Annotated[WayOption, typer.Option("--way", help="How they run; auto: as memory and speed advise.")] = WayOption.AUTO,
    memory_limit: Annotated[
        str | None, typer.Option("--memory-limit", help="What all models together may take, such as 6GiB.")] = None,
    ctx: CtxOption = None,
    *,
    sampling: SamplingChoices,
) -> None:
    """Ask several models the same and compare answers, speed and memory; the result is kept."""
    session: Session = context.obj
    if not MIN_CONTESTANTS <= len(models) <= MAX_CONTESTANTS:
        raise typer.BadParameter(f"name {MIN_CONTESTANTS} to {MAX_CONTESTANTS} models", param_hint="MODELS")
    if sum(given is not None for given in (prompt, prompts, prompt_set)) != 1:
        raise typer.BadParameter("give one of -p, --prompts and --set", param_hint="--prompt")
    with session.services() as services:
        asked, set_name = _prompts(services, prompt, prompts, prompt_set)
        spec = ComparisonSpec(
            contestants=tuple(_contestant(services, name) for name in models), prompts=asked, set_name=set_name,
            repeats=repeats, seed=sampling.seed or 0, same_seed=same_seed, sampling=sampling.settings_values(services.sampling),
            max_tokens=sampling.max_tokens, system_prompt=system, ctx=ctx, way=way.way,
            memory_limit_bytes=_limit(memory_limit))
        comparison = run_comparison(session, services, services.compare.comparisons.start(spec))
    session.output.document(comparison_document(comparison))
    _print(session, comparison)
    if all(answer.error for answer in comparison.answers):
        raise typer.Exit(1)


def run_comparison(session: Session, services: AppServices, comparison_id: int) -> Comparison:
    """Follow a comparison that was started, on the terminal, to its end; raises what ended it early."""
    comparisons = services.compare.comparisons
    is_schedule_told = False
    try:
        while not comparisons.wait(0.2):
            state = comparisons.state
            if state.schedule is not None and not is_schedule_told:
                is_schedule_told = True
                session.output.say(f"{state.schedule.reason} {state.schedule.meanwhile}".strip())
            session.output.overwrite(_progress_words(state))
    except StoppedError:
        session.output.say(f"What is finished is kept; `localai-app comparisons resume {comparison_id}` goes on.")
        raise
    finally:
        session.output.end_progress()
    if comparisons.state.error is not None:
        raise comparisons.state.error
    return comparisons.get(comparison_id)


def comparison_document(comparison: Comparison) -> dict[str, object]:
    """A comparison for JSON. Places in `order` are those in `contestants`; answers come by prompt, then by repeat."""
    schedule = comparison.schedule
    return {
        "id": comparison.id,
        "state": comparison.state,
        "contestants": [_contestant_document(comparison, place) for place in range(len(comparison.spec.contestants))],
        "prompts": [prompt.text for prompt in comparison.spec.prompts],
        "schedule": schedule.way if schedule is not None else None,
        "schedule_reason": schedule.reason if schedule is not None else "",
        "order": schedule.order if schedule is not None else (),
        "seed": comparison.spec.seed,
        "same_seed": comparison.spec.same_seed,
        "peak_bytes": comparison.peak_bytes,
    }


def _contestant_document(comparison: Comparison, place: int) -> dict[str, object]:
    run = comparison.run_of(place)
    answers = [answer for answer in comparison.answers if answer.contestant == place]
    hashes = run.sha256 if run is not None else ()
    return {
        "model": comparison.spec.contestants[place].model_key,
        "sha256": hashes[0] if len(hashes) == 1 else hashes or None,
        "load_s": round(run.load_s, 3) if run is not None else 0.0,
        "answers": [_answer_document(answer) for answer in answers],
        "peak_bytes": run.peak_bytes if run is not None else 0,
        "error": (run.error if run is not None else "") or None,
        "engine_build": run.engine_build if run is not None else "",
        "options": run.options if run is not None else {},
    }


def _answer_document(answer: AnswerRecord) -> dict[str, object]:
    checks = [{"passed": check.passed, "words": check.words} for check in answer.checks]
    return {
        "prompt": answer.prompt, "repeat": answer.repeat, "text": answer.text, "thinking": answer.thinking,
        "ttft_s": round(answer.ttft_s, 4), "prompt_tps": round(answer.prompt_tps, 2), "tps": round(answer.tps, 2),
        "prompt_tokens": answer.prompt_tokens, "tokens": answer.tokens, "total_s": round(answer.total_s, 3),
        "seed": answer.seed, "finish_reason": answer.finish_reason, "is_shared": answer.is_shared, "checks": checks,
        "gpu_j": answer.gpu_j, "processor_j": answer.processor_j, "error": answer.error or None,
    }


def _prompts(
    services: AppServices, text: str | None, file: Path | None, set_name: str | None,
) -> tuple[tuple[Prompt, ...], str]:
    """What is asked, and the name of the set; AppError for a file or a name that cannot be used."""
    if text is not None:
        return (Prompt(text=text),), ""
    sets = services.compare.prompt_sets
    chosen = sets.from_file(file) if file is not None else sets.get(set_name or "")
    return chosen.prompts, chosen.name


def _contestant(services: AppServices, name: str) -> Contestant:
    model = services.library.get(name)
    return Contestant(model_key=model.key, name=model.name, label=model.label)


def _limit(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        limit_bytes = parse_memory(text)
    except ValueError:
        limit_bytes = -1
    if limit_bytes < 0:
        raise typer.BadParameter("write a size such as 6GiB", param_hint="--memory-limit")
    return limit_bytes


def _progress_words(state: RunningState) -> str:
    if state.note:
        return state.note
    doing = [
        f"{phase.value} {fraction:.0%}" if phase is ContestantPhase.LOADING else phase.value
        for phase, fraction in zip(state.phases, state.load_fractions, strict=True)]
    left = f", {format_wait(state.left_s)} left" if state.left_s is not None else ""
    return f"{state.n_done} of {state.n_total} answers{left} ({', '.join(doing)})"


def _print(session: Session, comparison: Comparison) -> None:
    """The answers, where they are few, and a table of all numbers."""
    names = contestant_names(comparison.spec.contestants)
    if len(comparison.answers) <= MOST_PRINTED:
        for answer in comparison.answers:
            which = f" (prompt {answer.prompt + 1}, repeat {answer.repeat + 1})" if comparison.n_cells > len(names) else ""
            session.output.words(f"--- {names[answer.contestant]}{which}")
            session.output.words(answer.error or answer.text.strip())
            session.output.words()
    session.output.table(
        ("model", "load", "first token", "prompt", "answer", "tokens", "memory", "checks", "failed"),
        [_row(comparison, place, name) for place, name in enumerate(names)])
    session.output.words(f"Kept as comparison {comparison.id}.")


def _row(comparison: Comparison, place: int, name: str) -> Sequence[str]:
    run = comparison.run_of(place)
    answers = [answer for answer in comparison.answers if answer.contestant == place]
    good = [answer for answer in answers if not answer.error]
    checked = [all(check.passed for check in answer.checks) for answer in answers if answer.checks]
    return (
        name,
        format_duration(run.load_s) if run is not None and run.load_s else "-",
        _mean([answer.ttft_s for answer in good], format_duration),
        _mean([answer.prompt_tps for answer in good], format_speed),
        _mean([answer.tps for answer in good], format_speed),
        str(sum(answer.tokens for answer in good)),
        format_gib(run.peak_bytes) if run is not None and run.peak_bytes else "-",
        f"{sum(checked)} of {len(checked)}" if checked else "-",
        str(len(answers) - len(good)),
    )


def _mean(values: Sequence[float], shown: Callable[[float], str]) -> str:
    """The mean of those that were measured, in words."""
    known = [value for value in values if value > 0]
    return shown(sum(known) / len(known)) if known else "-"
