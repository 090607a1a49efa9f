"""A comparison as Markdown that looks the same in every viewer.

Prompts and answers stand in code fences, which show any text letter by letter; each fence is longer than the longest row of
backticks inside it (CommonMark, section 4.5). Text outside of fences is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from localai_app.compare.export_facts import Fact
from localai_app.compare.export_report import AnswerReport, PromptReport, Report, RoundReport

_SPECIAL = re.compile(r"([\\`*_\[\]<>#|~$&])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
RIGHT_WORDS = {True: "right", False: "wrong", None: "not checked"}


def markdown_text(report: Report) -> str:
    """The file's text."""
    parts = [f"# {escaped(report.title)}", escaped(report.subtitle)]
    if report.notice:
        parts.append(f"> **Note:** {escaped(report.notice)}")
    if report.measured:
        parts += ["## At a glance", _overview(report)]
    for prompt in report.prompts:
        parts += _prompt(prompt)
    parts += ["## Settings and schedule", *_facts(report.settings)]
    if report.system_prompt is not None:
        parts += ["Instructions to all contestants:", fenced(report.system_prompt)]
    if report.contestants:
        parts.append("## Contestants")
    for contestant in report.contestants:
        parts += [f"### {escaped(contestant.name)}", *_facts(contestant.facts)]
        if contestant.error:
            parts.append(f"**Could not answer:** {escaped(contestant.error)}")
    made = f"Made by Local AI {report.app_version or 'of unknown version'}."
    parts += ["## Computer", *_facts(report.hardware), escaped(made)]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """A text on one line that stands for itself, also inside a table."""
    return _SPECIAL.sub(r"\\\1", " ".join(_CONTROLS.sub("\ufffd", text).split()))


def fenced(text: str) -> str:
    """Any text as a block that is shown letter by letter."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    shown = _CONTROLS.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))
    return f"{fence}text\n{shown}\n{fence}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *([escaped(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _overview(report: Report) -> str:
    rows = [
        (one.name, *(measured.words[one.place] for measured in report.measured)) for one in report.contestants]
    return _table(["Contestant", *(measured.title for measured in report.measured)], rows)


def _facts(facts: Sequence[Fact]) -> list[str]:
    """A list of facts; what is long or to be copied letter by letter follows in a fence of its own."""
    lines = [f"- {escaped(fact.label)}: {escaped(fact.value)}" for fact in facts if not fact.is_code]
    blocks = [block for fact in facts if fact.is_code for block in (f"{escaped(fact.label)}:", fenced(fact.value))]
    return ["\n".join(lines), *blocks] if lines else blocks


def _prompt(prompt: PromptReport) -> list[str]:
    tag = f" ({escaped(prompt.tag)})" if prompt.tag else ""
    parts = [f"## Prompt {prompt.number}{tag}", fenced(prompt.text)]
    if prompt.system_prompt is not None:
        parts += ["Instructions:", fenced(prompt.system_prompt)]
    if prompt.checks:
        parts += ["An answer is right if it", "\n".join(f"- {escaped(check)}" for check in prompt.checks)]
    for one in prompt.rounds:
        parts += _round(one)
    return parts


def _round(one: RoundReport) -> list[str]:
    parts = [f"### {escaped(one.title)}"] if one.title else []
    for answer in one.answers:
        parts += _answer(answer)
    if one.votes:
        parts += ["**Votes**", "\n".join(f"- {escaped(vote)}" for vote in one.votes)]
    return parts


def _answer(answer: AnswerReport) -> list[str]:
    marks = [RIGHT_WORDS[answer.is_right]] if answer.is_right is not None else []
    marks += ["voted best"] if answer.is_voted_best else []
    marked = f" ({', '.join(marks)})" if marks else ""
    parts = [f"#### {escaped(answer.name)}{marked}"]
    if answer.remark:
        parts.append(f"*{escaped(answer.remark)}*")
    if answer.text:
        parts.append(fenced(answer.text))
    if answer.thinking:
        parts += ["Thinking:", fenced(answer.thinking)]
    if answer.facts:
        parts.append(_table(
            [escaped(fact.label) for fact in answer.facts], [[fact.value for fact in answer.facts]]))
    if answer.checks:
        parts.append("\n".join(f"- {escaped(check)}" for check in answer.checks))
    return parts
