"""The command that asks a model: chat."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from localai_app.cli.load_commands import (
    CtxOption,
    DraftOption,
    ExpertsOption,
    KvOption,
    LayersOption,
    LoadChoices,
    MainDeviceOption,
    SplitOption,
    WithoutOption,
)
from localai_app.cli.loading import SetUp, SetUpOption, load_and_wait, say_way_out
from localai_app.cli.sampling_options import SamplingChoices, sampling_of, with_sampling_options
from localai_app.cli.session import Session
from localai_app.engine.protocol import (
    Channel,
    ChatMessage,
    FinishReason,
    GenerationStats,
    HistoryCut,
    Overflow,
    TextGenerated,
    TokenLogprob,
    ToolCall,
)
from localai_app.errors import AppError
from localai_app.hardware.energy import Energy
from localai_app.services.chat_extras import ChatExtras
from localai_app.services.chat_format_words import NONE, THINKING_LABELS, template_notice, thinking_notice
from localai_app.services.context_words import cut_notice
from localai_app.services.energy_words import energy_words
from localai_app.services.thinking import AnswerText
from localai_app.services.tools import call_words, read_tools
from localai_app.units import format_duration, format_speed


class WhenFull(StrEnum):
    """The policies as they are written on a command line."""

    STOP = "stop"
    DROP_OLDEST = "drop-oldest"
    CUT_MIDDLE = "cut-middle"


class _PrintingSink:
    """Prints an answer as it comes and keeps it."""

    def __init__(self, session: Session, policy: Overflow) -> None:
        self._session = session
        self._policy = policy
        self.cut = HistoryCut()
        self.over = threading.Event()
        self.parts = AnswerText()
        self.tool_calls: tuple[ToolCall, ...] = ()
        self.stats = GenerationStats()
        self.reason = FinishReason.STOP
        self.error: AppError | None = None
        self.logprobs: list[TokenLogprob] = []

    def on_cut(self, cut: HistoryCut) -> None:
        self.cut = cut
        self._session.output.say(cut_notice(cut, self._policy))

    def on_text(self, event: TextGenerated) -> None:
        output = self._session.output
        if event.takes_back:
            output.words()
            output.say("All of this was thinking.")
        elif event.channel is Channel.THINKING and not self.parts.thinking:
            output.say("Thinking ...")
        self.parts.add(event.channel, event.text, takes_back=event.takes_back)
        self.stats = event.stats
        self.logprobs += event.logprobs
        if event.channel is Channel.ANSWER:
            output.piece(event.text)

    def on_finished(
        self, reason: FinishReason, stats: GenerationStats, tool_calls: Sequence[ToolCall] = (),
    ) -> None:
        self.reason, self.stats, self.tool_calls = reason, stats, tuple(tool_calls)
        self.over.set()

    def on_failed(self, error: AppError) -> None:
        self.error = error
        self.over.set()


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command()(with_sampling_options(chat))


def chat(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="An installed model, as `models` lists it, or a .gguf file.")],
    prompt: Annotated[str, typer.Option("-p", "--prompt", help="What to ask.")],
    system: Annotated[str, typer.Option("--system", help="Instructions for the model.")] = "",
    thinking: Annotated[
        str | None, typer.Option("--thinking", help="off, on, low, medium or high, where the model offers it.")] = None,
    when_full: Annotated[
        WhenFull | None, typer.Option("--when-full", help="What to do if all of it is longer than the context.")] = None,
    tools: Annotated[
        Path | None, typer.Option("--tools", help="A JSON file with tools that the model may ask for; none is run.")] = None,
    ctx: CtxOption = None,
    kv_type: KvOption = None,
    gpu_layers: LayersOption = None,
    experts_on_cpu: ExpertsOption = None,
    without_device: WithoutOption = None,
    draft: DraftOption = None,
    main_device: MainDeviceOption = None,
    tensor_split: SplitOption = None,
    anyway: Annotated[bool, typer.Option("--anyway", help="Load even a model that is too large or damaged.")] = False,
    set_up: SetUpOption = SetUp.REMEMBERED,
    *,
    sampling: SamplingChoices,
) -> None:
    """Ask a model once and print its answer with its speed."""
    session: Session = context.obj
    if thinking is not None and thinking not in THINKING_LABELS:
        raise typer.BadParameter(f"choose one of {', '.join(THINKING_LABELS)}", param_hint="--thinking")
    choices = LoadChoices(ctx, kv_type, gpu_layers, experts_on_cpu, without_device, main_device, tensor_split, draft=draft)
    offered = read_tools(tools) if tools is not None else ()
    with session.services() as services:
        key = services.library.get(model).key
        choices.require_devices(services.hardware.detect_now(with_engine=choices.names_devices or services.lent.are_wanted))
        request = choices.with_known_draft(services.library).applied_to(services.load_planner.request_for(key))
        wanted = sampling_of(services.sampling, key, sampling, thinking)
        chat_format = load_and_wait(session, services, key, request, anyway=anyway, set_up=set_up)
        for notice in (template_notice(chat_format), thinking_notice(chat_format, thinking)):
            if notice:
                session.output.say(notice)
        policy = Overflow((when_full or services.settings.text("context_policy")).replace("-", "_"))
        sink = _PrintingSink(session, policy)
        metered = services.meter.begin()
        if chat_format.template != NONE:
            turns = [ChatMessage(role="system", content=system)] if system else []
            services.engine.chat(
                [*turns, ChatMessage(role="user", content=prompt)], wanted, sink,
                extras=ChatExtras(thinking=thinking, overflow=policy, tools=offered))
        else:
            services.engine.complete(f"{system}\n\n{prompt}" if system else prompt, wanted, sink)
        while not sink.over.wait(0.2):
            pass
        if sink.error is not None:
            say_way_out(session, sink.error)
            raise sink.error
        energy = services.meter.energy(metered)
        services.library.note_use(key, tps=sink.stats.tps or None, prompt_tps=sink.stats.prompt_tps or None)
    _report(session, key, sink, energy)


def _report(session: Session, key: str, sink: _PrintingSink, energy: Energy) -> None:
    stats = sink.stats
    session.output.document({
        "model": key, "text": sink.parts.answer, "thinking": sink.parts.thinking.strip(),
        "thinking_s": round(stats.thinking_s, 3), "tool_calls": sink.tool_calls,
        "prompt_tokens": stats.prompt_tokens, "completion_tokens": stats.completion_tokens,
        "prompt_tps": round(stats.prompt_tps, 2), "tps": round(stats.tps, 2), "ttft_s": round(stats.ttft_s, 4),
        "finish_reason": sink.reason, "left_out": list(sink.cut.left_out),
        "shortened": [part.index for part in sink.cut.shortened],
        "energy": energy, **({"logprobs": sink.logprobs} if sink.logprobs else {}),
    })
    session.output.words()
    if sink.logprobs:
        session.output.table(("token", "logprob", "likeliest in its place"), map(_logprob_row, sink.logprobs))
    for call in sink.tool_calls:
        session.output.words(call_words(call))
    thought = f", thought for {format_duration(stats.thinking_s)}" if stats.thinking_s else ""
    session.output.say(
        f"{format_speed(stats.tps)}, {stats.completion_tokens} tokens, first after {format_duration(stats.ttft_s)}, "
        f"prompt {format_speed(stats.prompt_tps)}{thought}")
    words = energy_words(energy.gpu_j, energy.processor_j, stats.completion_tokens)
    if words:
        session.output.say(words)


def _logprob_row(entry: TokenLogprob) -> tuple[str, str, str]:
    others = "  ".join(f"{json.dumps(text, ensure_ascii=False)} {value:.2f}" for text, value in entry.alternatives)
    return json.dumps(entry.text, ensure_ascii=False), f"{entry.logprob:.2f}", others
