"""The commands about smaller files: loss, which measures what they lose, and quantize, which makes one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from localai_app.cli.session import Session
from localai_app.compare.loss import LossResult, estimate_words, recommendation
from localai_app.services.app_services import AppServices
from localai_app.services.compare.loss_choices import fallback_notes, file_facts
from localai_app.services.compare.loss_state import LossState, LossStatus, QuantizingState
from localai_app.services.compare.loss_texts import text_of_file
from localai_app.services.compare.losses import CTX, MAX_TOKENS
from localai_app.units import format_count, format_file_size, format_speed, format_wait

MIN_CTX, MAX_CTX = 32, 32_768


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command()(loss)
    app.command()(quantize)


def loss(
    context: typer.Context,
    reference: Annotated[str, typer.Argument(help="The variant to measure against, as `models` lists it, or a .gguf file.")],
    variants: Annotated[list[str], typer.Argument(help="Other variants of the same model.")],
    text: Annotated[
        Path | None, typer.Option("--text", metavar="FILE", help="A text file in UTF-8 to measure on; else a built-in text.")
    ] = None,
    ctx: Annotated[
        int, typer.Option("--ctx", min=MIN_CTX, max=MAX_CTX, help="Tokens of each part of the text; the second half counts.")
    ] = CTX,
    max_tokens: Annotated[
        int, typer.Option("--max-tokens", min=MIN_CTX, help="How much of the text is read; more takes longer and tells more.")
    ] = MAX_TOKENS,
) -> None:
    """Measure what smaller files of a model lose: perplexity, KL divergence, and how often both find the same next token."""
    session: Session = context.obj
    with session.services() as services:
        losses = services.compare.losses
        losses.start(reference, variants, text_of_file(text) if text is not None else None, ctx=ctx, max_tokens=max_tokens)
        state = _measured(session, services)
        notes = _notes(services, state.results)
    session.output.document({
        "results": [loss_document(result) for result in state.results],
        "failures": [
            {"variant": one.variant_key, "code": one.error.code, "message": one.error.message} for one in state.failures],
        "recommendation": recommendation(state.results), "notes": notes})
    for failure in state.failures:
        session.output.say(f"{failure.variant_key}: {failure.error.message} {failure.error.action}")
    _print_results(session, state.results)
    for note in notes:
        session.output.words(note)


def _measured(session: Session, services: AppServices) -> LossState:
    """Wait for the end with progress on the terminal; raises what went wrong with all of it."""
    losses = services.compare.losses
    session.output.say(f"Measuring {len(losses.state.variant_keys)} against {losses.state.reference_key} ...")
    try:
        while not losses.wait(0.2):
            state = losses.state
            left = f", {format_wait(state.left_s)} left" if state.left_s is not None else ""
            what = "loading" if state.status is LossStatus.LOADING else "reading"
            session.output.overwrite(f"{state.variant_key}: {what}, {state.fraction:.0%}{left}")
    finally:
        session.output.end_progress()
    if losses.state.error is not None:
        raise losses.state.error
    return losses.state


def _notes(services: AppServices, results: tuple[LossResult, ...]) -> tuple[str, ...]:
    """Which of the files have tensors that fell back to another type."""
    models = [results[0].reference, *(result.variant for result in results)] if results else []
    facts = {model.key: file_facts(services.library.get(model.key)) for model in models}
    return fallback_notes(models, {key: one for key, one in facts.items() if one is not None})


def loss_document(result: LossResult) -> dict[str, object]:
    """A result for JSON: as it is kept, with its words."""
    return {**{name: getattr(result, name) for name in result.__struct_fields__}, "words": result.words}


def _print_results(session: Session, results: tuple[LossResult, ...]) -> None:
    output = session.output
    if not results:
        return
    first = results[0]
    output.words(
        f"Against {first.reference.name} {first.reference.label}".rstrip() + f" ({_perplexity(first)}), on {first.text_name}: "
        f"{format_count(first.n_scored)} of {format_count(first.n_tokens)} tokens, context {format_count(first.ctx)}.")
    output.words()
    output.table(
        ("VARIANT", "SIZE", "KL DIVERGENCE", "MEDIAN", "99%", "SAME TOKEN", "PERPLEXITY", "SPEED", "LOSS"),
        [(result.variant.title, format_file_size(result.variant.size_bytes), estimate_words(result.kld),
          f"{result.kld_median:.4f}", f"{result.kld_p99:.3f}",
          f"{100 * result.same_top.value:.1f} ± {100 * result.same_top.error:.1f}%", estimate_words(result.variant_perplexity),
          format_speed(result.variant.tps) if result.variant.tps else "", result.words) for result in results])
    output.words()
    output.words(recommendation(results))


def _perplexity(result: LossResult) -> str:
    return f"perplexity {estimate_words(result.reference_perplexity)}"


def quantize(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="An installed model, as `models` lists it, or a .gguf file.")],
    label: Annotated[str, typer.Argument(help="What to make of it, such as Q4_K_M.")],
) -> None:
    """Make a smaller file of an installed model, through llama.cpp; it is then listed beside it."""
    session: Session = context.obj
    with session.services() as services:
        requantizing = services.compare.losses.requantizing
        plan = services.compare.losses.quantize(model, label)
        session.output.say(f"Making {plan.target.name} ...")
        if plan.warning:
            session.output.say(plan.warning)
        try:
            while not requantizing.wait(0.2):
                session.output.overwrite(_quantizing_words(requantizing.state))
        finally:
            session.output.end_progress()
        state = requantizing.state
        if state.error is not None:
            raise state.error
    session.output.document({
        "model": state.made_key, "path": str(plan.target), "size_bytes": state.size_bytes, "made_from": plan.model.key,
        "source_label": plan.source_label, "warning": plan.warning, "fallbacks": state.fallbacks})
    session.output.words(f"{state.made_key} is ready: {format_file_size(state.size_bytes)}.")
    if state.fallbacks:
        kinds = sorted({f"{one.used} instead of {one.wanted}" for one in state.fallbacks})
        session.output.words(
            f"Of its tensors {len(state.fallbacks)} have rows that do not fill the blocks of their type: {', '.join(kinds)}.")


def _quantizing_words(state: QuantizingState) -> str:
    left = f", {format_wait(state.left_s)} left" if state.left_s is not None else ""
    return f"{state.fraction:.0%}{left}"
