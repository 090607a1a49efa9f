"""A comparison as JSON: complete, with the version of its form, and read back to the same comparison.

What is unknown is null there, although the program's own records hold a zero for it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from localai_app.compare.comparison import Comparison
from localai_app.compare.export_withheld import Exportable

FORMAT = "localai-comparison"
VERSION = 1
ZERO_IS_UNKNOWN = {
    "answers": ("prompt_tps", "tps", "ttft_s", "total_s", "prompt_tokens"),
    "runs": ("size_bytes", "load_s", "peak_bytes", "ctx", "threads", "n_layer"),
}
"""Fields in which a zero says that there is no figure."""


class ComparisonDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file."""

    format: str
    version: int
    names_withheld: bool = False
    notice: str = ""
    comparison: dict[str, Any]


def json_text(exportable: Exportable) -> str:
    """The file's text."""
    comparison: dict[str, Any] = msgspec.to_builtins(exportable.comparison)
    for part, fields in ZERO_IS_UNKNOWN.items():
        for record in comparison[part]:
            record.update({field: None for field in fields if record[field] == 0})
            if record.get("error") and record.get("tokens") == 0:
                record["tokens"] = None
    comparison["peak_bytes"] = comparison["peak_bytes"] or None
    if comparison["schedule"] is not None and comparison["schedule"]["peak_bytes"] == 0:
        comparison["schedule"]["peak_bytes"] = None
    document = ComparisonDocument(
        format=FORMAT, version=VERSION, names_withheld=exportable.names_are_withheld, notice=exportable.notice,
        comparison=comparison)
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode("utf-8") + "\n"


def read_json(text: str | bytes) -> Comparison:
    """The comparison in an exported file; ValueError with the reason in words where there is none that can be used."""
    try:
        document = msgspec.json.decode(text, type=ComparisonDocument)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(f"it is not an exported comparison ({error})") from error
    if document.format != FORMAT:
        raise ValueError("it is not an exported comparison")
    if document.version > VERSION:
        raise ValueError("a newer version of Local AI wrote it")
    if document.names_withheld:
        raise ValueError("it was exported before the vote, without the names of the contestants")
    comparison = _known(document.comparison)
    try:
        read = msgspec.convert(comparison, type=Comparison)
    except msgspec.MsgspecError as error:
        raise ValueError(f"it is damaged ({error})") from error
    _check_places(read)
    return read


def _known(comparison: dict[str, Any]) -> dict[str, Any]:
    """The same without the fields that are unknown, which so get their own word for it."""
    known: dict[str, Any] = _without(comparison, ("peak_bytes",))
    for part, fields in ZERO_IS_UNKNOWN.items():
        if isinstance(known.get(part), list):
            known[part] = [_without(record, (*fields, "tokens")) for record in known[part]]
    known["schedule"] = _without(known.get("schedule"), ("peak_bytes",))
    return known


def _without(record: Any, fields: tuple[str, ...]) -> Any:
    if not isinstance(record, dict):
        return record
    return {name: value for name, value in record.items() if value is not None or name not in fields}


def _check_places(comparison: Comparison) -> None:
    """ValueError where answers, runs, votes or the schedule point at what is not there."""
    spec = comparison.spec
    contestants, prompts, repeats = range(len(spec.contestants)), range(len(spec.prompts)), range(spec.repeats)
    places = [*(run.contestant for run in comparison.runs), *(answer.contestant for answer in comparison.answers),
              *(place for vote in comparison.votes for place in vote.rivals),
              *(place for vote in comparison.votes for duel in vote.duels for place in (duel.first, duel.second)),
              *(duel.winner for vote in comparison.votes for duel in vote.duels if duel.winner is not None),
              *(vote.winner for vote in comparison.votes if vote.winner is not None),
              *(comparison.schedule.order if comparison.schedule is not None else ())]
    cells = [(answer.prompt, answer.repeat) for answer in comparison.answers]
    cells += [(vote.prompt, vote.repeat) for vote in comparison.votes]
    if not spec.contestants or not spec.prompts or not repeats:
        raise ValueError("it compares nothing")
    if any(place not in contestants for place in places) or any(
            prompt not in prompts or repeat not in repeats for prompt, repeat in cells):
        raise ValueError("it is damaged (an answer belongs to no prompt or contestant)")
    if len({answer.key for answer in comparison.answers}) < len(comparison.answers):
        raise ValueError("it is damaged (two answers stand in one place)")
