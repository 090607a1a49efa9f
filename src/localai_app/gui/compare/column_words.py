"""What the column of a contestant says, as plain values: its state in a pill, and its figures."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from localai_app.compare.comparison import AnswerRecord, ContestantRun
from localai_app.engine.protocol import GenerationStats
from localai_app.services.energy_words import energy_parts, energy_words
from localai_app.units import format_count, format_duration, format_gib, format_speed

SHARED_WORDS = "speeds are shared"
SHARED_HELP = "Other models computed at the same time, so that each had only a part of the computer. In turn they are faster."
ALIASED = "answering"


class CellState(Enum):
    """What a contestant is doing for the answer on screen."""

    EMPTY = auto()
    """Nothing was asked yet."""
    DOWNLOADING = auto()
    WAITING = auto()
    LOADING = auto()
    WARMING_UP = auto()
    READING = auto()
    WRITING = auto()
    DONE = auto()
    FAILED = auto()
    STOPPED = auto()


RUNNING_STATES = (CellState.LOADING, CellState.WARMING_UP, CellState.READING, CellState.WRITING)
_PILLS = {
    CellState.EMPTY: ("", "neutral"),
    CellState.DOWNLOADING: ("downloading", "accent"),
    CellState.WAITING: ("waiting", "neutral"),
    CellState.LOADING: ("loading", "accent"),
    CellState.WARMING_UP: ("warming up", "accent"),
    CellState.READING: ("reading", "accent"),
    CellState.WRITING: ("writing", "good"),
    CellState.DONE: ("done", "neutral"),
    CellState.FAILED: ("failed", "bad"),
    CellState.STOPPED: ("stopped", "warn"),
}


def pill(state: CellState, fraction: float = 0.0) -> tuple[str, str]:
    """The word of a state and its tone, with how much of it is done (0 to 1) where that is known."""
    words, tone = _PILLS[state]
    if state in (CellState.DOWNLOADING, CellState.LOADING) and fraction > 0:
        words = f"{words} {min(99, int(fraction * 100))}%"
    return words, tone


def veiled_pill(state: CellState, *, hides_speed: bool, all_ended: bool) -> tuple[str, str]:
    """The pill while names are hidden: how long a model loads would tell it, and so would who is ready first."""
    if state in RUNNING_STATES or (hides_speed and not all_ended and state is not CellState.EMPTY):
        return ALIASED, "accent"
    return pill(state)


@dataclass(frozen=True, slots=True)
class Figures:
    """The footer of a column. `speed`: the large figure without its unit; `help`: all of it in sentences."""

    speed: str = ""
    first: str = ""
    rest: tuple[str, ...] = ()
    help: str = ""
    is_shared: bool = False


def answer_figures(answer: AnswerRecord | None, run: ContestantRun | None, *, shows_load: bool = True) -> Figures:
    """Of a finished answer and its load; what is not known is left out. `shows_load` false: nothing of the load."""
    rest = _load_parts(run) if shows_load else []
    if answer is None:
        return Figures(rest=tuple(rest))
    energy = energy_parts(answer.gpu_j, answer.processor_j)
    rest += _count_parts(answer.tokens, answer.prompt_tps)
    rest += [energy] if energy else []
    sentences = [energy_words(answer.gpu_j, answer.processor_j, answer.tokens)]
    if answer.thinking_s:
        sentences.append(f"Thought for {format_duration(answer.thinking_s)}.")
    if answer.total_s:
        sentences.append(f"{format_duration(answer.total_s)} in all.")
    return Figures(
        _speed(answer.tps), _first(answer.ttft_s), tuple(rest), "\n".join(filter(None, sentences)),
        answer.is_shared and answer.tps > 0)


def live_figures(
    stats: GenerationStats, run: ContestantRun | None, *, is_shared: bool = False, shows_load: bool = True,
) -> Figures:
    """Of an answer that streams."""
    rest = [*(_load_parts(run) if shows_load else []), *_count_parts(stats.completion_tokens, stats.prompt_tps)]
    return Figures(_speed(stats.tps), _first(stats.ttft_s), tuple(rest), is_shared=is_shared and stats.tps > 0)


def _load_parts(run: ContestantRun | None) -> list[str]:
    if run is None:
        return []
    parts = [f"load {format_duration(run.load_s)}"] if run.load_s else []
    return [*parts, f"peak {format_gib(run.peak_bytes)}"] if run.peak_bytes else parts


def _count_parts(tokens: int, prompt_tps: float) -> list[str]:
    parts = [f"{format_count(tokens)} token{'' if tokens == 1 else 's'}"] if tokens else []
    return [*parts, f"prompt {format_speed(prompt_tps)}"] if prompt_tps > 0 else parts


def _speed(tps: float) -> str:
    """With a decimal up to a hundred: neighbours are compared by it."""
    if tps <= 0:
        return ""
    return f"{tps:.1f}" if tps < 99.95 else f"{tps:,.0f}"


def _first(ttft_s: float) -> str:
    return f"first {format_duration(ttft_s)}" if ttft_s > 0 else ""
