"""A comparison: what was asked of whom, how it ran, every answer with its numbers, and the votes. The store keeps all of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from localai_app.compare.checks import CheckResult
from localai_app.compare.contestant import Contestant
from localai_app.compare.prompts import Prompt
from localai_app.engine.sampling_values import SamplingValues


class Way(StrEnum):
    """How contestants run."""

    SIDE_BY_SIDE = "side_by_side"
    IN_TURN = "in_turn"


class CellKey(NamedTuple):
    """One answer of the matrix, by places: of the contestant, of the prompt, and which repeat."""

    contestant: int
    prompt: int
    repeat: int


class ComparisonSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be compared."""

    contestants: tuple[Contestant, ...]
    prompts: tuple[Prompt, ...]
    set_name: str = ""
    """Of the prompt set; empty for a prompt that was typed."""
    repeats: int = 1
    seed: int = 0
    """Decides the order of the contestants, and the seeds of answers with `same_seed`."""
    same_seed: bool = True
    """Repeat r is sampled with seed + r by every contestant; otherwise each answer has a seed of its own, kept with it."""
    sampling: SamplingValues = SamplingValues()
    """For all contestants; what a contestant sets goes before."""
    max_tokens: int | None = None
    """Longest answer; None: as the setting says."""
    system_prompt: str | None = None
    ctx: int | None = None
    way: Way | None = None
    """None: side by side where that fits and is not slower, else in turn."""
    memory_limit_bytes: int | None = None
    """What all workers together may take; None: as the setting says."""
    is_blind: bool = False
    hides_speed: bool = False
    """Of a blind one: numbers are hidden until the vote as well."""


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """How a comparison runs, decided before it starts."""

    way: Way
    reason: str
    """One sentence, with its numbers: why this way."""
    order: tuple[int, ...]
    """Places of the contestants as they run, or are started."""
    threads: tuple[int, ...] = ()
    """Of each contestant, by its place."""
    prepares_next: bool = False
    """In turn: a model is loaded while the last answer of the one before is written, where they share no device."""
    meanwhile: str = ""
    """What is done for the next model while one answers, as a sentence; empty where nothing is."""
    peak_bytes: int = 0
    """Most memory that it is expected to take at any moment, all workers together."""


class ContestantRun(msgspec.Struct, frozen=True, kw_only=True):
    """How a contestant was loaded: what it takes to repeat it, and what it cost."""

    contestant: int
    sha256: tuple[str, ...] = ()
    """Of the model's files, in order."""
    size_bytes: int = 0
    load_s: float = 0.0
    engine_build: str = ""
    description: str = ""
    """llama.cpp's words for the model: architecture, size and type."""
    options: dict[str, Any] = {}
    """The fields of LoadOptions that differ from its defaults, without the path."""
    ctx: int = 0
    threads: int = 0
    gpu_layers: int = 0
    n_layer: int = 0
    steps: tuple[str, ...] = ()
    """What failed at the load and what was tried instead, a sentence each."""
    peak_bytes: int = 0
    """Most resident memory of its worker, and what it allocated on GPUs."""
    template: str = ""
    thinking: str = ""
    error: str = ""
    """Why it could not answer, in words."""


class AnswerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One finished cell: an answer, or why there is none. What a comparison was cancelled in is no record."""

    contestant: int
    prompt: int
    repeat: int
    text: str = ""
    thinking: str = ""
    seed: int | None = None
    finish_reason: str = ""
    prompt_tokens: int = 0
    tokens: int = 0
    """Generated, thinking included."""
    prompt_tps: float = 0.0
    """0.0: not measured."""
    tps: float = 0.0
    """0.0: not measured (a single token has no speed)."""
    ttft_s: float = 0.0
    total_s: float = 0.0
    """From the request to the end of the answer."""
    thinking_s: float = 0.0
    is_shared: bool = False
    """Other contestants computed at the same time: speeds are those of a shared computer."""
    gpu_j: float | None = None
    processor_j: float | None = None
    checks: tuple[CheckResult, ...] = ()
    error: str = ""

    @property
    def key(self) -> CellKey:
        """Its place in the matrix."""
        return CellKey(self.contestant, self.prompt, self.repeat)


class Verdict(StrEnum):
    """What a vote says."""

    BEST = "best"
    """One contestant is better than all others."""
    TIE = "tie"
    BOTH_BAD = "both_bad"
    """No answer is any good."""


class Duel(msgspec.Struct, frozen=True, kw_only=True):
    """What a judge model thinks of two answers to one prompt."""

    first: int
    second: int
    """Places of the contestants."""
    winner: int | None = None
    """Place of the better one, where both orders of showing them led to it; None: a tie."""


class Vote(msgspec.Struct, frozen=True, kw_only=True):
    """A judgement on the answers to one prompt in one repeat."""

    prompt: int
    repeat: int
    verdict: Verdict
    winner: int | None = None
    """Place of the contestant, for BEST."""
    rivals: tuple[int, ...] = ()
    """Contestants whose answers were judged together; empty: all."""
    judge: str = ""
    """Key of the model that judged; empty: a person."""
    is_blind: bool = False
    time_s: float = 0.0
    reason: str = ""
    """A judge's own words."""
    duels: tuple[Duel, ...] = ()
    """Of a judge model, which sees two answers at a time; `verdict` is then who won all of its duels."""


class ComparisonState(StrEnum):
    """How far a comparison is."""

    RUNNING = "running"
    """Also one that was cut off by the end of the program, and can go on."""
    DONE = "done"
    CANCELLED = "cancelled"
    """What was finished is kept; it can go on."""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is kept of a comparison."""

    id: int
    created_s: float
    """Since the epoch."""
    state: ComparisonState
    spec: ComparisonSpec
    schedule: Schedule | None = None
    hardware: dict[str, Any] = {}
    """Processor, memory and GPUs, as `hardware --json` prints them."""
    app_version: str = ""
    peak_bytes: int = 0
    """Most main memory that all workers together held at one moment: the sum of their resident sizes, sampled."""
    runs: tuple[ContestantRun, ...] = ()
    """The latest of each contestant, by its place; without those that never started."""
    answers: tuple[AnswerRecord, ...] = ()
    votes: tuple[Vote, ...] = ()

    @property
    def title(self) -> str:
        """The prompt's first line, or the set's name."""
        return self.spec.set_name or (self.spec.prompts[0].text.strip().partition("\n")[0] if self.spec.prompts else "")

    @property
    def n_cells(self) -> int:
        """Answers in all."""
        return len(self.spec.contestants) * len(self.spec.prompts) * self.spec.repeats

    def answer(self, key: CellKey) -> AnswerRecord | None:
        """The finished cell at a place."""
        return next((answer for answer in self.answers if answer.key == key), None)

    def run_of(self, contestant: int) -> ContestantRun | None:
        """How a contestant was loaded; None where it never was."""
        return next((run for run in self.runs if run.contestant == contestant), None)
