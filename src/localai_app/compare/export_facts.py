"""Figures and settings of a comparison as pairs of a label and its value in words. What is unknown is called so."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from localai_app.compare.checks import Check, CheckResult, ContainsCheck, ExactCheck, NumberCheck, PatternCheck
from localai_app.compare.comparison import AnswerRecord, ContestantRun, Duel, Verdict, Vote, Way
from localai_app.compare.contestant import Contestant
from localai_app.compare.export_withheld import Exportable
from localai_app.engine.sampling import SPEC_OF, bias_text
from localai_app.engine.sampling_values import SamplingValues
from localai_app.units import format_count, format_duration, format_energy, format_file_size, format_gib

UNKNOWN = "unknown"
WAYS = {Way.SIDE_BY_SIDE: "side by side", Way.IN_TURN: "in turn"}


@dataclass(frozen=True, slots=True)
class Fact:
    """A label and what is said of it. `is_code`: to be shown letter by letter, such as a hash."""

    label: str
    value: str
    is_code: bool = False


def speed_words(tps: float) -> str:
    """A speed that was measured, or not (0.0)."""
    return f"{tps:,.1f} tok/s" if tps > 0 else UNKNOWN


def seconds_words(seconds: float) -> str:
    """A time that was measured, or not (0.0)."""
    return format_duration(seconds) if seconds > 0 else UNKNOWN


def bytes_words(n_bytes: float) -> str:
    """Memory that was measured, or not (0)."""
    return format_gib(round(n_bytes)) if n_bytes > 0 else UNKNOWN


def count_words(count: int) -> str:
    """A number that cannot be zero where it is known."""
    return format_count(count) if count > 0 else UNKNOWN


def setting_facts(exportable: Exportable, names: Sequence[str]) -> tuple[Fact, ...]:
    """How a comparison was set up and ran, but for its instructions."""
    comparison = exportable.comparison
    spec, schedule = comparison.spec, comparison.schedule
    seeds = "seed + repeat, the same for every contestant" if spec.same_seed else "one for each answer, kept with it"
    limit = format_gib(spec.memory_limit_bytes) if spec.memory_limit_bytes is not None else "as the settings say"
    facts = [
        Fact("Prompt set", spec.set_name or "none: typed"), Fact("Repeats", str(spec.repeats)), Fact("Seed", str(spec.seed)),
        Fact("Seeds of answers", seeds), *sampling_facts(spec.sampling),
        Fact("Longest answer", f"{format_count(spec.max_tokens)} tokens" if spec.max_tokens else "as the settings say"),
        Fact("Context", f"{format_count(spec.ctx)} tokens" if spec.ctx else "as the settings say"),
        Fact("Wanted way", WAYS[spec.way] if spec.way else "automatic"), Fact("Memory limit", limit),
        Fact("Blind", "yes" + (", speeds hidden until the vote" if spec.hides_speed else "") if spec.is_blind else "no")]
    if schedule is None:
        return (*facts, Fact("Schedule", UNKNOWN))
    facts += [Fact("Ran", WAYS[schedule.way]), Fact("Because", schedule.reason or UNKNOWN)]
    if exportable.names_are_withheld:
        return tuple(facts)
    threads = ", ".join(f"{name}: {n}" for name, n in zip(names, schedule.threads, strict=False))
    return (
        *facts,
        Fact("Order", ", ".join(names[place] for place in schedule.order if place < len(names)) or UNKNOWN),
        Fact("Threads", threads or UNKNOWN),
        Fact("Next model loaded while the last answer is written", "yes" if schedule.prepares_next else "no"),
        *((Fact("Meanwhile", schedule.meanwhile),) if schedule.meanwhile else ()),
        Fact("Expected peak memory", bytes_words(schedule.peak_bytes)),
        Fact("Measured peak of all workers", bytes_words(comparison.peak_bytes)))


def sampling_facts(values: SamplingValues) -> tuple[Fact, ...]:
    """What was set for the sampling; what is not here was left to the program's settings and the models."""
    facts = [
        Fact(SPEC_OF[key].label if key in SPEC_OF else key, f"{number:g}") for key, number in values.numbers.items()]
    if values.stop is not None:
        facts.append(Fact("Stops at", json.dumps(values.stop, ensure_ascii=False), is_code=True))
    if values.logit_bias is not None:
        facts.append(Fact("Logit bias", ", ".join(map(bias_text, values.logit_bias)), is_code=True))
    if values.grammar is not None:
        facts.append(Fact("Grammar", values.grammar, is_code=True))
    if values.json_schema is not None:
        facts.append(Fact("JSON Schema", values.json_schema, is_code=True))
    return tuple(facts)


def contestant_facts(contestant: Contestant, run: ContestantRun | None) -> tuple[Fact, ...]:
    """What a contestant is, what it was set to, and how it was loaded."""
    settings = contestant.settings
    facts = [Fact("Model", contestant.model_key, is_code=True), Fact("Quantization", contestant.label or UNKNOWN)]
    if settings.system_prompt is not None:
        facts.append(Fact("Instructions", settings.system_prompt or "none"))
    facts += sampling_facts(settings.sampling)
    chosen = {
        "Thinking": settings.thinking, "Chosen context": settings.ctx, "Chosen KV cache": settings.kv_type,
        "Chosen layers on the GPU": settings.gpu_layers}
    facts += [Fact(label, str(value)) for label, value in chosen.items() if value is not None]
    if run is None:
        return (*facts, Fact("Loaded", "never"))
    return (
        *facts, *(Fact("SHA-256", digest, is_code=True) for digest in run.sha256 or (UNKNOWN,)),
        Fact("Size", format_file_size(run.size_bytes) if run.size_bytes else UNKNOWN),
        *(Fact("At the load", step) for step in run.steps),
        Fact("Described as", run.description or UNKNOWN), Fact("Load time", seconds_words(run.load_s)),
        Fact("Peak memory", bytes_words(run.peak_bytes)), Fact("Context", count_words(run.ctx)),
        Fact("Threads", count_words(run.threads)),
        Fact("Layers on the GPU", f"{min(run.gpu_layers, run.n_layer)} of {run.n_layer}" if run.n_layer else UNKNOWN),
        Fact("Chat template", run.template or UNKNOWN),
        *((Fact("Thinking while it ran", run.thinking),) if run.thinking else ()),
        Fact("Engine build", run.engine_build or UNKNOWN, is_code=True),
        Fact("Engine options", json_words(run.options), is_code=True))


def answer_facts(answer: AnswerRecord, instead: str = "") -> tuple[Fact, ...]:
    """The figures of an answer; `instead` stands in place of those that may not be shown yet."""
    measured = [
        Fact("Answer", speed_words(answer.tps)), Fact("First token after", seconds_words(answer.ttft_s)),
        Fact("Prompt", speed_words(answer.prompt_tps)), Fact("Took", seconds_words(answer.total_s)),
        Fact("Tokens", UNKNOWN if answer.error and not answer.tokens else format_count(answer.tokens)),
        Fact("Prompt tokens", count_words(answer.prompt_tokens)), Fact("Energy", energy_words(answer))]
    if answer.thinking or answer.thinking_s:
        measured.append(Fact("Thought for", seconds_words(answer.thinking_s)))
    if answer.is_shared:
        measured.append(Fact("Computer", "shared with other contestants"))
    if instead:
        measured = [Fact("Figures", instead)]
    return (
        *measured, Fact("Seed", UNKNOWN if answer.seed is None else str(answer.seed)),
        Fact("Ended by", answer.finish_reason or UNKNOWN))


def energy_words(answer: AnswerRecord) -> str:
    """Energy of the devices on which it could be measured."""
    parts = [
        f"{format_energy(joules)} {device}"
        for device, joules in (("GPU", answer.gpu_j), ("processor", answer.processor_j)) if joules is not None]
    return " + ".join(parts) or UNKNOWN


def check_words(check: Check) -> str:
    """What an answer is checked for."""
    match check:
        case ExactCheck():
            return f"is exactly {_quoted(check.text)}{_case_words(check.case_matters)}"
        case ContainsCheck():
            return f"contains {', '.join(map(_quoted, check.texts))}{_case_words(check.case_matters)}"
        case PatternCheck():
            return f"{'does not match' if check.is_absent else 'matches'} the regular expression {_quoted(check.pattern)}"
        case NumberCheck():
            within = f" within {check.tolerance:g}" if check.tolerance else ""
            return f"ends with the number {check.value:.10g}{within}"
        case _:
            return f"is JSON that follows the schema {check.json_schema}"


def check_results(checks: Sequence[Check], results: Sequence[CheckResult]) -> tuple[str, ...]:
    """Each check with how it went, and why not."""
    asked = [check_words(check) for check in checks] if len(checks) == len(results) else ["check"] * len(results)
    return tuple(
        f"{'passed' if result.passed else 'failed'}: {words}{f' ({result.words})' if result.words else ''}"
        for words, result in zip(asked, results, strict=True))


def vote_words(vote: Vote, names: Sequence[str]) -> str:
    """A judgement in a sentence without its full stop."""
    who = f"the judge {vote.judge}" if vote.judge else "a person"
    how = ", blind" if vote.is_blind else ""
    rivals = [names[place] for place in vote.rivals if 0 <= place < len(names)]
    among = f" among {', '.join(rivals)}" if rivals else ""
    if vote.verdict is Verdict.BEST:
        is_named = vote.winner is not None and 0 <= vote.winner < len(names)
        said = f"{names[vote.winner] if is_named and vote.winner is not None else UNKNOWN} is best{among}"
    else:
        said = ("Tie" if vote.verdict is Verdict.TIE else "No answer is any good") + among
    duels = "; ".join(_duel_words(duel, names) for duel in vote.duels)
    return f"{said} (by {who}{how}){f', duels: {duels}' if duels else ''}{f': {vote.reason}' if vote.reason else ''}"


def hardware_facts(hardware: Mapping[str, Any]) -> tuple[Fact, ...]:
    """The computer, its main parts in words, and all that is known of it as JSON."""
    if not hardware:
        return (Fact("Computer", UNKNOWN),)
    cpu, memory = _mapping(hardware.get("cpu")), _mapping(hardware.get("memory"))
    total = memory.get("total_bytes")
    gpus = hardware.get("gpus")
    names = [str(_mapping(gpu).get("name") or UNKNOWN) for gpu in gpus] if isinstance(gpus, list | tuple) else []
    return (
        Fact("Processor", str(cpu.get("model") or UNKNOWN)), Fact("Cores", str(cpu.get("physical_cores") or UNKNOWN)),
        Fact("Main memory", bytes_words(total) if isinstance(total, int | float) else UNKNOWN),
        Fact("GPUs", ", ".join(names) or ("none" if isinstance(gpus, list | tuple) else UNKNOWN)),
        Fact("System", str(hardware.get("system") or UNKNOWN)), Fact("In full", json_words(hardware), is_code=True))


def json_words(value: object) -> str:
    """A value as JSON on one line."""
    return msgspec.json.encode(value).decode("utf-8")


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _duel_words(duel: Duel, names: Sequence[str]) -> str:
    first, second = names[duel.first], names[duel.second]
    if duel.winner is None:
        return f"{first} and {second} tie"
    return f"{first} beats {second}" if duel.winner == duel.first else f"{second} beats {first}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _case_words(case_matters: bool) -> str:
    return ", upper and lower case told apart" if case_matters else ""
