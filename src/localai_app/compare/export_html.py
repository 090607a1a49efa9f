"""A comparison as one HTML file that needs nothing else: style sheet and charts inside, no script, nothing fetched.

Every text is escaped, and the page's own policy forbids scripts and requests besides.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from localai_app.compare.export_charts import NARROW, WIDE, bar_chart, best_places
from localai_app.compare.export_facts import UNKNOWN, Fact
from localai_app.compare.export_report import AnswerReport, ContestantReport, Measured, PromptReport, Report, RoundReport

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
LEADING_FACTS = ("Answer", "First token after")
"""Stand large under an answer."""


def html_text(report: Report, style: str) -> str:
    """The file's text, dressed by a style sheet."""
    body = "\n".join(part for part in (
        _header(report), _glance(report), *map(_prompt, report.prompts), _settings(report), _contestants(report),
        _section("Computer", _facts(report.hardware)),
        f'<footer>Made by Local AI {safe(report.app_version or "of unknown version")}</footer>') if part)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{safe(report.title)}</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n")


def safe(text: str) -> str:
    """A text that stands for itself between tags and in attributes."""
    return escape(_CONTROLS.sub("\ufffd", text))


def _header(report: Report) -> str:
    notice = f'<p class="notice">{safe(report.notice)}</p>' if report.notice else ""
    return (
        f'<header><p class="overline">Comparison of models</p><h1 dir="auto">{safe(report.title)}</h1>'
        f'<p class="muted">{safe(report.subtitle)}</p></header>{notice}')


def _glance(report: Report) -> str:
    """Charts, and the same figures as a table."""
    if not report.measured:
        return ""
    names = [one.name for one in report.contestants]
    labels = [f' <span class="muted">{safe(one.label)}</span>' if one.label else "" for one in report.contestants]
    width = NARROW if len(report.measured) == 3 else WIDE
    charts = "".join(
        f'<figure class="card"><figcaption>{safe(one.title)}<span>{_scale_words(one)}</span></figcaption>'
        f"{bar_chart(one, width, [_CONTROLS.sub(' ', name) for name in names])}</figure>" for one in report.measured)
    head = "".join(f'<th scope="col">{safe(one.title)}</th>' for one in report.measured)
    rows = "".join(
        f'<tr><th scope="row">{_dot(place)}{safe(name)}{labels[place]}</th>'
        + "".join(_figure(one, place) for one in report.measured) + "</tr>" for place, name in enumerate(names))
    table = (f'<div class="scroll card"><table><thead><tr><th scope="col">Contestant</th>{head}</tr></thead>'
             f"<tbody>{rows}</tbody></table></div>")
    return _section("At a glance", f'<div class="charts n{len(report.measured)}">{charts}</div>{table}')


def _figure(measured: Measured, place: int) -> str:
    words = measured.words[place]
    kind = "best" if place in best_places(measured) else "unknown" if words == UNKNOWN else ""
    return f'<td class="{kind}">{safe(words)}</td>'


def _scale_words(measured: Measured) -> str:
    """Which end is better, and what a bar is of several."""
    better = "lower is better" if measured.is_better_low else "higher is better"
    return f"median, {better}" if any(measured.spans) else better


def _prompt(prompt: PromptReport) -> str:
    tag = f'<span class="badge">{safe(prompt.tag)}</span>' if prompt.tag else ""
    system = f'<p class="label">Instructions</p>{_text(prompt.system_prompt)}' if prompt.system_prompt is not None else ""
    checks = "".join(f"<li>{safe(check)}</li>" for check in prompt.checks)
    asked = f'<p class="label">An answer is right if it</p><ul>{checks}</ul>' if checks else ""
    rounds = "".join(map(_round, prompt.rounds))
    return (f'<section><h2>Prompt {prompt.number}{tag}</h2><div class="card prompt">{_text(prompt.text)}{system}{asked}</div>'
            f"{rounds}</section>")


def _round(one: RoundReport) -> str:
    title = f"<h3>{safe(one.title)}</h3>" if one.title else ""
    votes = "".join(f"<li>{safe(vote)}</li>" for vote in one.votes)
    said = f'<ul class="votes" aria-label="Votes">{votes}</ul>' if votes else ""
    return f'{title}<div class="answers">{"".join(map(_answer, one.answers))}</div>{said}'


def _answer(answer: AnswerReport) -> str:
    badges = ""
    if answer.is_right is not None:
        badges += '<span class="badge good">right</span>' if answer.is_right else '<span class="badge bad">wrong</span>'
    if answer.is_voted_best:
        badges += '<span class="badge accent">voted best</span>'
    remark = f'<p class="remark">{safe(answer.remark)}</p>' if answer.remark else ""
    text = _text(answer.text.strip()) if answer.text else ""
    thinking = f"<details><summary>Thinking</summary>{_text(answer.thinking)}</details>" if answer.thinking else ""
    checks = "".join(f"<li>{safe(check)}</li>" for check in answer.checks)
    checked = f'<ul class="checks">{checks}</ul>' if checks else ""
    return (
        f'<article class="card answer"><h4>{_dot(answer.place)}<span>{safe(answer.name)}</span>{badges}</h4>'
        f'<div class="body">{remark}{thinking}{text}</div>{checked}'
        f"{_answer_figures(answer.facts)}</article>")


def _answer_figures(facts: Sequence[Fact]) -> str:
    if not facts:
        return ""
    large = "".join(_fact(fact) for fact in facts if fact.label in LEADING_FACTS)
    small = "".join(_fact(fact) for fact in facts if fact.label not in LEADING_FACTS)
    figures = f'<dl class="figures">{large}</dl>' if large else ""
    return f'{figures}<dl class="figures small">{small}</dl>'


def _settings(report: Report) -> str:
    system = (
        f'<p class="label">Instructions to all contestants</p>{_text(report.system_prompt)}'
        if report.system_prompt is not None else "")
    return _section("Settings and schedule", _facts(report.settings, system))


def _contestants(report: Report) -> str:
    return _section("Contestants", "".join(map(_contestant, report.contestants))) if report.contestants else ""


def _contestant(one: ContestantReport) -> str:
    error = f'<p class="remark">Could not answer: {safe(one.error)}</p>' if one.error else ""
    return f"<h3>{_dot(one.place)}{safe(one.name)}</h3>{error}{_facts(one.facts)}"


def _facts(facts: Sequence[Fact], below: str = "") -> str:
    """A card of facts, those to be read letter by letter last and in lines of their own."""
    rows = "".join(map(_fact, sorted(facts, key=lambda fact: fact.is_code)))
    return f'<div class="card"><dl class="facts">{rows}</dl>{below}</div>'


def _fact(fact: Fact) -> str:
    if fact.is_code:
        return f'<div class="wide"><dt>{safe(fact.label)}</dt><dd><code>{safe(fact.value)}</code></dd></div>'
    return f"<div><dt>{safe(fact.label)}</dt><dd>{safe(fact.value)}</dd></div>"


def _section(title: str, body: str) -> str:
    return f"<section><h2>{safe(title)}</h2>{body}</section>"


def _text(text: str) -> str:
    """What somebody wrote, as it is: its lines are kept, and its own direction is found."""
    return f'<div class="text" dir="auto">{safe(text)}</div>'


def _dot(place: int) -> str:
    return f'<span class="dot c{place}" aria-hidden="true"></span>'
