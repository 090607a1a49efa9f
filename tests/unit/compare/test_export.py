"""Exports hold everything, quote anything safely, and JSON reads back to the same comparison."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from localai_app.compare.blind import BlindNames
from localai_app.compare.checks import CheckResult, ContainsCheck, ExactCheck, NumberCheck, PatternCheck, SchemaCheck
from localai_app.compare.comparison import (
    AnswerRecord,
    Comparison,
    ComparisonSpec,
    ComparisonState,
    ContestantRun,
    Duel,
    Schedule,
    Verdict,
    Vote,
    Way,
)
from localai_app.compare.contestant import Contestant, ContestantSettings
from localai_app.compare.export_csv import csv_text
from localai_app.compare.export_html import html_text
from localai_app.compare.export_json import json_text, read_json
from localai_app.compare.export_markdown import escaped, fenced, markdown_text
from localai_app.compare.export_report import report_of
from localai_app.compare.export_withheld import WITHHELD, exportable
from localai_app.compare.prompts import Prompt
from localai_app.engine.sampling_values import SamplingValues
from localai_app.paths import resources_dir
from tests.helpers.kept_comparisons import SECRETS, Texts, person_votes, two_models

STYLE = (resources_dir() / "style" / "report.css").read_text(encoding="utf-8")
HOSTILE = (
    "```\nends the fence\n~~~\n````python\n# Heading | cell | <script>alert(1)</script>\n</pre><img src=x onerror=alert(1)>"
    "\r\n| a | b |\n&lt; \x1b[31m 'quoted' \"quoted\" \u202etxt")


def every_form(comparison: Comparison) -> dict[str, str]:
    whole = exportable(comparison)
    report = report_of(whole)
    return {
        "md": markdown_text(report), "html": html_text(report, STYLE), "csv": csv_text(whole), "json": json_text(whole)}


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


class Page(HTMLParser):
    """Reads a page into its tags and what each of its texts says."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def page_of(text: str) -> Page:
    page = Page()
    page.feed(text)
    page.close()
    assert page.open == []
    return page


@pytest.mark.parametrize("form", ["md", "html", "csv", "json"])
def test_every_form_holds_what_is_needed_to_repeat_a_comparison(form: str) -> None:
    comparison = two_models(votes=person_votes())
    text = every_form(comparison)[form]
    if form == "html":
        text = "\n".join(page_of(text).texts)
    text = text.replace("\\", "")
    wanted = [
        "Explain to a neighbour how a heat pump works.", "Answer in plain words.", "ab12" * 16, "cd34" * 16, "b9999 (CUDA)",
        "kv_type", "Ryzen 7", "RTX 4070", "18.6 GiB, and the limit is 12.0 GiB", "Harbour 12B", "Marshland 14B", "heat",
        "its last number is 4, not -7", "the refrigerant"[4:], "What does a neighbour know?"]
    wanted += {
        "md": ["37.9 tok/s", "412.5 tok/s", "0.31 s", "9.1 GiB", "GPU: 41 of 41", "Order: Harbour 12B, Marshland",
               "Harbour 12B is best (by a person, blind)"],
        "html": ["37.9 tok/s", "412.5 tok/s", "0.31 s", "9.1 GiB", "Harbour 12B, Marshland 14B", "is best (by a person"],
        "csv": ["37.94", "412.5", "0.31", "9800000000", "temperature", "Harbour 12B is best (by a person, blind)"],
        "json": ["37.94", "412.5", "0.31", "9800000000", '"temperature": 0.7', '"verdict": "best"', '"seed": 42'],
    }[form]
    assert [part for part in wanted if part not in text] == []


def test_csv_has_a_row_for_each_cell_with_its_own_figures() -> None:
    comparison = two_models(votes=person_votes())
    spec = msgspec.structs.replace(comparison.spec, repeats=2)
    rows = rows_of(csv_text(exportable(msgspec.structs.replace(comparison, spec=spec))))
    assert [(row["prompt_number"], row["repeat"], row["model"], row["state"]) for row in rows] == [
        ("1", "1", "Marshland 14B", "answered"), ("1", "1", "Harbour 12B", "answered"),
        ("1", "2", "Marshland 14B", "not answered"), ("1", "2", "Harbour 12B", "not answered")]
    assert [float(row["tps"]) for row in rows[:2]] == [37.94, 44.17]
    assert [row["is_right"] for row in rows] == ["no", "yes", "unknown", "unknown"]
    assert rows[0]["sha256"] == "ab12" * 16
    assert [row["schedule_order"] for row in rows[:2]] == ["2", "1"]
    assert rows[1]["gpu_j"] == "unknown"
    assert rows[0]["gpu_j"] == "320.5"


@pytest.mark.parametrize("form", ["md", "html", "csv", "json"])
def test_what_is_unknown_is_never_a_zero(form: str) -> None:
    comparison = two_models()
    bare = msgspec.structs.replace(
        comparison, runs=(ContestantRun(contestant=0),),
        answers=(AnswerRecord(contestant=0, prompt=0, repeat=0, text="Yes.", tokens=1),))
    text = every_form(bare)[form]
    if form == "csv":
        row = rows_of(text)[0]
        assert {name for name, value in row.items() if value == "0"} <= {"thinking_s"}
        assert {row[name] for name in ("tps", "ttft_s", "prompt_tps", "load_s", "peak_bytes", "size_bytes")} == {"unknown"}
    elif form == "json":
        answer = json.loads(text)["comparison"]["answers"][0]
        assert {answer[name] for name in ("tps", "ttft_s", "prompt_tps", "total_s", "gpu_j")} == {None}
        assert answer["tokens"] == 1
    else:
        assert "unknown" in text
        assert not re.search(r"(?<![\d.,])0(\.0+)? (tok/s|s|GiB|MiB|B)\b", text)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "  =", "\uff1d"])
def test_a_spreadsheet_takes_no_text_for_a_formula(start: str) -> None:
    attack = f'{start}cmd|"/c calc"!A1'
    comparison = two_models(Texts(prompt=attack, answers=(attack, "fine")))
    first, second = rows_of(csv_text(exportable(comparison)))
    assert first["answer"] == f"'{attack}"
    assert first["prompt"] == f"'{attack}"
    assert second["answer"] == "fine"
    dangerous = re.compile(r"\s*[=+@\uff1d\uff0b\uff0d\uff20-]")
    cells = [value for row in (first, second) for value in row.values()]
    assert [value for value in cells if dangerous.match(value) and not re.fullmatch(r"-?[\d.]+", value)] == []


def test_html_needs_nothing_else_and_runs_nothing() -> None:
    comparison = two_models(Texts(prompt=HOSTILE, answers=(HOSTILE, "<b>bold</b>")), votes=person_votes())
    page = page_of(every_form(comparison)["html"])
    tags = {tag for tag, _ in page.tags}
    assert tags.isdisjoint({"script", "img", "iframe", "link", "object", "embed", "a", "form", "input", "b", "base"})
    names = {name for _, attrs in page.tags for name in attrs}
    assert names.isdisjoint({"src", "href", "srcset", "style", "action", "data"})
    assert not any(name.startswith("on") for name in names)
    assert "url(" not in STYLE
    assert "@import" not in STYLE
    shown = "".join(page.texts)
    assert "<script>alert(1)</script>" in shown
    assert "<b>bold</b>" in shown
    assert "\x1b" not in shown
    assert sum(tag == "svg" and attrs.get("class") == "chart" for tag, attrs in page.tags) == 4
    policy = next(attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "prefers-color-scheme: dark" in STYLE


def test_bars_are_as_long_as_their_figures() -> None:
    page = page_of(every_form(two_models())["html"])
    bars = [float(attrs["width"] or 0) for tag, attrs in page.tags if tag == "rect" and "bar" in (attrs["class"] or "")]
    speeds, times = bars[0:2], bars[2:4]
    assert speeds[0] / speeds[1] == pytest.approx(37.94 / 44.17, rel=0.01)
    assert times[1] / times[0] == pytest.approx(0.26 / 0.31, rel=0.01)
    # Of the right answers one contestant has none, and so no bar.
    assert len(bars) == 7


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]) | st.sampled_from("`~|<>\\\n\r#*_&"), max_size=80))
def test_any_text_in_a_fence_is_shown_letter_by_letter(text: str) -> None:
    tokens = MarkdownIt("commonmark").parse(f"before\n\n{fenced(text)}\n\nafter")
    assert [token.type for token in tokens] == [
        "paragraph_open", "inline", "paragraph_close", "fence", "paragraph_open", "inline", "paragraph_close"]
    shown = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", "\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))
    assert tokens[3].content == shown + "\n"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("`~|<>\\#*_&[]()!"), max_size=60))
def test_any_text_outside_a_fence_stands_for_itself(text: str) -> None:
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    tokens = parser.parse(f"| head | x |\n| --- | --- |\n| {escaped(text)} | end |")
    cells = [token for token in tokens if token.type == "inline"]
    assert len(cells) == 4
    assert cells[3].content == "end"
    children = cells[2].children or []
    assert {child.type for child in children} <= {"text", "text_special"}
    assert "".join(child.content for child in children) == " ".join(text.split())


@pytest.mark.parametrize("form", ["md", "html", "csv", "json"])
@pytest.mark.parametrize("hides_speed", [False, True])
def test_a_blind_comparison_tells_no_contestant_before_the_vote(form: str, hides_speed: bool) -> None:
    hidden = every_form(two_models(is_blind=True, hides_speed=hides_speed))[form].replace("\\", "")
    assert [secret for secret in SECRETS if secret.casefold() in hidden.casefold()] == []
    assert "withheld" in hidden
    assert "Answer A" in hidden
    assert ("37.9" in hidden) is not hides_speed
    told = every_form(two_models(is_blind=True, hides_speed=hides_speed, votes=person_votes()))[form].replace("\\", "")
    assert "Marshland 14B" in told
    assert "fenland/marshland-14b-gguf:Q4_K_M" in told
    assert "ab12" * 16 in told
    assert "37.9" in told
    assert "withheld" not in told.replace("names_withheld", "")


def test_letters_are_those_of_the_columns_and_votes_follow_them() -> None:
    comparison = two_models(is_blind=True)
    prompts = comparison.spec.prompts * 8
    answers = tuple(
        msgspec.structs.replace(answer, prompt=prompt, text=f"{answer.contestant}")
        for prompt in range(8) for answer in comparison.answers)
    vote = Vote(prompt=0, repeat=0, verdict=Verdict.BEST, winner=1, rivals=(0, 1))
    judged = Vote(prompt=1, repeat=0, verdict=Verdict.BEST, winner=1, judge="fenland/marshland-14b-gguf:Q4_K_M")
    comparison = msgspec.structs.replace(
        comparison, spec=msgspec.structs.replace(comparison.spec, prompts=prompts), answers=answers, votes=(vote, judged))
    safe = exportable(comparison)
    names = BlindNames(comparison)
    orders = []
    for prompt in range(8):
        shown = [answer.text for answer in safe.comparison.answers if answer.prompt == prompt]
        assert shown == [str(place) for place in names.shown_order(prompt, 0)]
        orders.append(tuple(shown))
    assert len(set(orders)) == 2, "the same letter is not always the same contestant"
    assert safe.comparison.votes == (msgspec.structs.replace(
        vote, winner=names.shown_order(0, 0).index(1), rivals=(0, 1)),)
    assert report_of(safe).contestants == ()
    assert report_of(safe).measured == ()
    assert {row["model_key"] for row in rows_of(csv_text(safe))} == {WITHHELD}


def test_names_are_withheld_everywhere_until_every_answer_was_voted_on() -> None:
    comparison = two_models(is_blind=True)
    prompts = (comparison.spec.prompts[0], Prompt(text="And a fridge?"))
    both = (*comparison.answers, *(msgspec.structs.replace(one, prompt=1) for one in comparison.answers))
    half = msgspec.structs.replace(
        comparison, spec=msgspec.structs.replace(comparison.spec, prompts=prompts), answers=both, votes=person_votes())
    for form, text in every_form(half).items():
        assert [(form, secret) for secret in SECRETS if secret.casefold() in text.replace("\\", "").casefold()] == []
    second = Vote(prompt=1, repeat=0, verdict=Verdict.TIE)
    whole = msgspec.structs.replace(half, votes=(*half.votes, second))
    assert {form for form, text in every_form(whole).items() if "Marshland 14B" not in text} == set()


def test_an_error_that_names_the_model_is_withheld_as_well() -> None:
    comparison = two_models(is_blind=True)
    third = Contestant(model_key="coastal/lagoon-3b:Q8_0", name="Lagoon 3B", label="Q8_0")
    failed = AnswerRecord(contestant=2, prompt=0, repeat=0, error="Lagoon 3B needs 4.4 GiB, and the limit is 4.0 GiB.")
    spec = msgspec.structs.replace(comparison.spec, contestants=(*comparison.spec.contestants, third))
    hidden = every_form(msgspec.structs.replace(comparison, spec=spec, answers=(*comparison.answers, failed)))
    assert {form for form, text in hidden.items() if "Lagoon" in text or "4.4 GiB" in text} == set()
    assert {form for form, text in hidden.items() if "The reason is withheld until the vote." in text} == set(hidden)


def test_json_of_a_blind_comparison_cannot_be_taken_for_the_whole() -> None:
    with pytest.raises(ValueError, match="before the vote"):
        read_json(json_text(exportable(two_models(is_blind=True))))


@pytest.mark.parametrize(("damage", "reason"), [
    (lambda text: text[:200], "not an exported comparison"),
    (lambda text: text.replace("localai-comparison", "something"), "not an exported comparison"),
    (lambda text: text.replace('"version": 1', '"version": 99'), "newer version"),
    (lambda text: text.replace('"winner": 1', '"winner": 5'), "damaged"),
    (lambda text: text.replace('"tps": 44.17', '"tps": "fast"'), "damaged"),
    (lambda text: text.replace('"contestant": 1,\n        "prompt"', '"contestant": 0,\n        "prompt"'), "damaged"),
    (lambda _text: "[]", "not an exported comparison"),
])
def test_a_file_that_is_no_comparison_is_refused_with_the_reason(damage, reason: str) -> None:
    text = json_text(exportable(two_models(votes=person_votes())))
    assert damage(text) != text
    with pytest.raises(ValueError, match=reason):
        read_json(damage(text))


texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=12)
figures = st.floats(0, 1e9, allow_nan=False)
counts = st.integers(0, 2**53)
options = st.dictionaries(texts, st.none() | st.booleans() | counts | texts | st.lists(counts, max_size=2), max_size=3)
checks = st.one_of(
    st.builds(ExactCheck, text=texts), st.builds(ContainsCheck, texts=st.tuples(texts)), st.builds(PatternCheck, pattern=texts),
    st.builds(NumberCheck, value=figures), st.builds(SchemaCheck, json_schema=texts))
samplings = st.builds(
    SamplingValues, numbers=st.dictionaries(st.sampled_from(["temperature", "top_k", "seed_of_later"]), figures, max_size=2),
    stop=st.none() | st.tuples(texts))


@st.composite
def comparisons(draw: st.DrawFn) -> Comparison:
    own = st.builds(ContestantSettings, system_prompt=st.none() | texts, sampling=samplings, ctx=st.none() | counts)
    contestants = draw(st.lists(
        st.builds(Contestant, model_key=texts, name=texts, label=texts, settings=own), min_size=1, max_size=4))
    prompts = draw(st.lists(
        st.builds(Prompt, text=texts, tag=texts, checks=st.tuples(checks), system_prompt=st.none() | texts), min_size=1,
        max_size=3))
    repeats = draw(st.integers(1, 2))
    place = st.integers(0, len(contestants) - 1)
    at = {"prompt": st.integers(0, len(prompts) - 1), "repeat": st.integers(0, repeats - 1)}
    answers = draw(st.lists(st.builds(
        AnswerRecord, contestant=place, **at, text=texts, thinking=texts, seed=st.none() | counts, tokens=counts,
        prompt_tokens=counts, prompt_tps=figures, tps=figures, ttft_s=figures, total_s=figures, thinking_s=figures,
        is_shared=st.booleans(), gpu_j=st.none() | figures,
        checks=st.tuples(st.builds(CheckResult, passed=st.booleans(), words=texts)),
        error=texts), max_size=6, unique_by=lambda one: one.key))
    runs = draw(st.lists(st.builds(
        ContestantRun, contestant=place, sha256=st.tuples(texts),
        size_bytes=counts, load_s=figures, options=options, steps=st.tuples(texts),
        ctx=counts, threads=counts, n_layer=counts, peak_bytes=counts, error=texts),
        max_size=3, unique_by=lambda one: one.contestant))
    votes = draw(st.lists(st.builds(
        Vote, **at, verdict=st.sampled_from(Verdict), winner=st.none() | place, rivals=st.lists(place, max_size=3).map(tuple),
        judge=texts, reason=texts, time_s=figures, duels=st.lists(
            st.builds(Duel, first=place, second=place, winner=st.none() | place), max_size=2).map(tuple)), max_size=3))
    schedule = st.builds(
        Schedule, way=st.sampled_from(Way), reason=texts, order=st.permutations(range(len(contestants))).map(tuple),
        threads=st.tuples(counts), peak_bytes=counts)
    spec = ComparisonSpec(
        contestants=tuple(contestants), prompts=tuple(prompts), repeats=repeats, set_name=draw(texts), seed=draw(counts),
        sampling=draw(samplings), ctx=draw(st.none() | counts), way=draw(st.none() | st.sampled_from(Way)),
        same_seed=draw(st.booleans()), system_prompt=draw(st.none() | texts))
    return Comparison(
        id=draw(counts), created_s=draw(st.floats(0, 4e9)), state=draw(st.sampled_from(ComparisonState)), spec=spec,
        schedule=draw(st.none() | schedule), hardware=draw(options), app_version=draw(texts), runs=tuple(runs),
        answers=tuple(answers), votes=tuple(votes))


@given(comparisons())
@settings(max_examples=40)
def test_json_reads_back_to_the_same_comparison(comparison: Comparison) -> None:
    assert read_json(json_text(exportable(comparison))) == comparison


@given(comparisons(), st.booleans())
@settings(max_examples=20)
def test_every_form_can_be_made_of_any_comparison(comparison: Comparison, is_blind: bool) -> None:
    spec = msgspec.structs.replace(comparison.spec, is_blind=is_blind, hides_speed=is_blind)
    forms = every_form(msgspec.structs.replace(comparison, spec=spec))
    page_of(forms["html"])
    assert len(rows_of(forms["csv"])) == comparison.n_cells
    assert MarkdownIt("commonmark").parse(forms["md"])


def test_a_set_of_hundreds_of_cells_is_written_at_once() -> None:
    comparison = two_models()
    answers = tuple(
        msgspec.structs.replace(answer, prompt=prompt, repeat=repeat)
        for prompt in range(60) for repeat in range(4) for answer in comparison.answers)
    spec = msgspec.structs.replace(comparison.spec, prompts=comparison.spec.prompts * 60, repeats=4)
    forms = every_form(msgspec.structs.replace(comparison, spec=spec, answers=answers))
    assert len(rows_of(forms["csv"])) == 480
    assert forms["html"].count('<article class="card answer">') == 480
