"""Comparisons made by hand, complete in every part, for tests of exports, histories and blind mode."""

from __future__ import annotations

from dataclasses import dataclass

from localai_app.compare.checks import CheckResult, ContainsCheck, NumberCheck
from localai_app.compare.comparison import (
    AnswerRecord,
    Comparison,
    ComparisonSpec,
    ComparisonState,
    ContestantRun,
    Schedule,
    Verdict,
    Vote,
    Way,
)
from localai_app.compare.contestant import Contestant, ContestantSettings
from localai_app.compare.prompts import Prompt
from localai_app.engine.load_options import KvType
from localai_app.engine.sampling_values import SamplingValues

HEAT_PUMP = (
    "A heat pump moves heat instead of making it. Even cold outside air holds some warmth; a refrigerant collects it, a "
    "compressor raises its temperature, and the house receives three to four times the energy that the electricity alone "
    "would give.\n\nThe trade-off is the outside temperature: the colder it is, the harder the compressor works.")
FRIDGE = (
    "Think of a fridge turned inside out. It takes heat from the air or the ground and pushes it indoors. Because it only "
    "**moves** heat, one kilowatt-hour of electricity brings in about three of heat.\n\n- Works best with large radiators\n"
    "- Loses efficiency below about -7 °C")
MARSHLAND, HARBOUR = "Marshland 14B", "Harbour 12B"
"""Names that no answer, prompt or word of the program has in it."""
SECRETS = (
    MARSHLAND, HARBOUR, "Marshland", "Harbour", "fenland/marshland-14b-gguf", "quayside/harbour-12b-gguf",
    "Q4_K_M", "IQ3_XS", "ab12" * 16, "cd34" * 16, "9.1 GB", "7.3 GB", "9100000000", "7300000000")
"""What tells a contestant of `two_models`."""


@dataclass(frozen=True)
class Texts:
    """What was asked and answered, where a test needs something of its own."""

    prompt: str = "Explain to a neighbour how a heat pump works."
    answers: tuple[str, str] = (HEAT_PUMP, FRIDGE)


def two_models(
    texts: Texts = Texts(), *, comparison_id: int = 7, is_blind: bool = False, hides_speed: bool = False,
    votes: tuple[Vote, ...] = (), state: ComparisonState = ComparisonState.DONE,
) -> Comparison:
    """Two contestants, one prompt with checks, complete figures."""
    spec = ComparisonSpec(
        contestants=(
            Contestant(model_key="fenland/marshland-14b-gguf:Q4_K_M", name=MARSHLAND, label="Q4_K_M"),
            Contestant(
                model_key="quayside/harbour-12b-gguf:IQ3_XS", name=HARBOUR, label="IQ3_XS",
                settings=ContestantSettings(
                    sampling=SamplingValues(numbers={"top_k": 20}), kv_type=KvType.Q8_0, thinking="off"))),
        prompts=(Prompt(text=texts.prompt, tag="summarizing", checks=(
            ContainsCheck(texts=("heat",)), NumberCheck(value=-7, tolerance=1))),),
        repeats=1, seed=42, sampling=SamplingValues(numbers={"temperature": 0.7}, stop=("\n\n\n",)), ctx=8192,
        system_prompt="Answer in plain words.", memory_limit_bytes=12 * 1024**3, is_blind=is_blind, hides_speed=hides_speed)
    return Comparison(
        id=comparison_id, created_s=1_764_120_000.0, state=state, spec=spec,
        schedule=Schedule(
            way=Way.IN_TURN, reason="In turn: together they would take 18.6 GiB, and the limit is 12.0 GiB.", order=(1, 0),
            threads=(8, 8), prepares_next=True, peak_bytes=10_400_000_000),
        hardware={
            "system": "linux", "cpu": {"model": "Ryzen 7", "physical_cores": 8}, "memory": {"total_bytes": 32 * 1024**3},
            "gpus": [{"name": "RTX 4070"}]},
        app_version="0.5", runs=(_run(0), _run(1)),
        answers=(
            AnswerRecord(
                contestant=0, prompt=0, repeat=0, text=texts.answers[0], thinking="What does a neighbour know?", seed=42,
                finish_reason="stop", prompt_tokens=24, tokens=131, prompt_tps=412.5, tps=37.94, ttft_s=0.31, total_s=3.8,
                thinking_s=0.4, gpu_j=320.5, processor_j=None,
                checks=(CheckResult(passed=True), CheckResult(passed=False, words="its last number is 4, not -7"))),
            AnswerRecord(
                contestant=1, prompt=0, repeat=0, text=texts.answers[1], seed=42, finish_reason="stop", prompt_tokens=22,
                tokens=98, prompt_tps=466.25, tps=44.17, ttft_s=0.26, total_s=2.5,
                checks=(CheckResult(passed=True), CheckResult(passed=True)))),
        votes=votes)


def person_votes(winner: int = 1) -> tuple[Vote, ...]:
    """One vote by a person."""
    return (Vote(prompt=0, repeat=0, verdict=Verdict.BEST, winner=winner, is_blind=True, time_s=1_764_120_100.0),)


def _run(place: int) -> ContestantRun:
    return ContestantRun(
        contestant=place, sha256=(("ab12" if place == 0 else "cd34") * 16,),
        size_bytes=9_100_000_000 if place == 0 else 7_300_000_000, load_s=2.75 + place, engine_build="b9999 (CUDA)",
        description="marshland 14B Q4_K - Medium" if place == 0 else "harbour 12B IQ3_XS",
        options={"gpu_layers": 41 + place, "threads": 8, "kv_type": "q8_0"}, ctx=8192, threads=8, gpu_layers=41 + place,
        n_layer=41 + place, peak_bytes=9_800_000_000 - place * 10**9, template="chatml", thinking="off")
