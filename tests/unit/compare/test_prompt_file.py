from __future__ import annotations

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai_app.compare.checks import ContainsCheck, ExactCheck, NumberCheck, PatternCheck, SchemaCheck
from localai_app.compare.prompt_file import FILE_SUFFIXES, MAX_FILE_BYTES, read_prompts, written_prompts
from localai_app.compare.prompt_records import MAX_PROMPTS
from localai_app.compare.prompts import Prompt, PromptSet


def prompts_of(name: str, text: str) -> tuple[Prompt, ...]:
    found = read_prompts(name, text.encode())
    assert found.problems == ()
    assert found.prompt_set is not None
    return found.prompt_set.prompts


def problems_of(name: str, data: bytes | str) -> list[str]:
    found = read_prompts(name, data if isinstance(data, bytes) else data.encode())
    assert found.problems
    return [str(problem) for problem in found.problems]


def test_a_set_in_json_has_every_kind_of_check() -> None:
    text = json.dumps({"name": " My  set ", "description": "Mine", "prompts": [
        "Just a text",
        {"text": "2 + 2?", "tag": "sums", "number": 4, "tolerance": 0.5, "system_prompt": "Be short."},
        {"prompt": "Colours?", "contains": ["red", "blue"], "not_pattern": "pink", "expected": "red blue"},
        {"question": "JSON?", "json_schema": {"type": "object"}, "pattern": "^{"},
        {"text": "All", "checks": [{"type": "exact", "text": "a", "case_matters": True}, {"type": "number", "value": 1}]},
    ]})
    found = read_prompts("some.json", text.encode())
    assert found.problems == ()
    assert found.prompt_set is not None
    assert (found.prompt_set.name, found.prompt_set.description, found.prompt_set.is_built_in) == ("My set", "Mine", False)
    assert found.prompt_set.prompts == (
        Prompt(text="Just a text"),
        Prompt(text="2 + 2?", tag="sums", checks=(NumberCheck(value=4, tolerance=0.5),), system_prompt="Be short."),
        Prompt(text="Colours?", checks=(
            ExactCheck(text="red blue"), ContainsCheck(texts=("red", "blue")), PatternCheck(pattern="pink", is_absent=True))),
        Prompt(text="JSON?", checks=(PatternCheck(pattern="^{"), SchemaCheck(json_schema='{"type":"object"}'))),
        Prompt(text="All", checks=(ExactCheck(text="a", case_matters=True), NumberCheck(value=1))))


def test_lines_of_json_are_prompts() -> None:
    assert prompts_of("a.jsonl", '"One"\n\n{"text": "Two", "tag": "b"}\n') == (Prompt(text="One"), Prompt(text="Two", tag="b"))


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_has_one_prompt_a_row(delimiter: str) -> None:
    rows = [("Prompt", "tag", "contains", "number", "tolerance"), ("What?", "a", "x | y", "", ""),
            ('"Two\nlines"', "", "", "1.5", "0.1"), ("",) * 5]
    text = "\r\n".join(delimiter.join(row) for row in rows)
    for name in ("a.csv", "A.TSV") if delimiter == "\t" else ("a.csv",):
        assert prompts_of(name, text) == (
            Prompt(text="What?", tag="a", checks=(ContainsCheck(texts=("x", "y")),)),
            Prompt(text="Two\nlines", checks=(NumberCheck(value=1.5, tolerance=0.1),)))


def test_text_is_told_apart_by_lines_or_paragraphs() -> None:
    assert prompts_of("a.txt", "\nOne\nstill one\n\n \nTwo\n") == (Prompt(text="One\nstill one"), Prompt(text="Two"))
    assert prompts_of("a.md", "One\n\nstill one\n---\n\nTwo\n-----\n") == (Prompt(text="One\n\nstill one"), Prompt(text="Two"))


@pytest.mark.parametrize("encoded", ["Für".encode(), "Für".encode("utf-8-sig"), "Für".encode("utf-16")])
def test_marks_of_encodings_are_understood(encoded: bytes) -> None:
    found = read_prompts("mine.txt", encoded)
    assert found.prompt_set == PromptSet(name="mine", prompts=(Prompt(text="Für"),))


@pytest.mark.parametrize(("name", "data", "expected"), [
    ("a.txt", b"one\n\ntwo \xff\n", "Line 3: This is no text in UTF-8"),
    ("a.txt", b"one\n\0", "Line 2: This is no text: there is a zero byte"),
    ("a.txt", b"\n \n", "There is no prompt in the file."),
    ("a.txt", b"\xff\xfe\x00", "no text in UTF-8"),
    ("a.txt", b"x" * (MAX_FILE_BYTES + 1), "larger than 8 MB"),
    ("a.txt", b"ok\n\n" + b"x" * 50_001, "Line 3: 'text' is longer than 50,000 characters"),
    ("a.txt", b"a\n\n" * (MAX_PROMPTS + 1), "more than 2,000 prompts"),
    ("a.pdf", b"", "has to end in .json, .jsonl, .csv"),
    ("a.json", "[\n1,\n]", "Line 3: This is no JSON"),
    ("a.json", "{}", "neither a list of prompts"),
    ("a.json", "[" * 100_000, "nested too deeply"),
    ("a.json", '{"prompts": [], "nmae": "x"}', "'nmae' beside the prompts is not known"),
    ("a.json", '{"prompts": [], "name": 3}', "'name' has to be a text"),
    ("a.json", '["ok", 5]', "Prompt 2: A prompt is neither a text nor an object."),
    ("a.json", '[{"text": "a", "number": "four"}]', "Prompt 1: 'number' has to be a number such as 12.5."),
    ("a.json", '[{"text": "a", "number": NaN}]', "NaN is no number in JSON"),
    ("a.json", '[{"text": "a", "number": 1e999}]', "Prompt 1: A number and its tolerance must be finite"),
    ("a.json", '[{"text": "a", "text": "b"}]', "'text' is given twice"),
    ("a.json", '[{"text": "a", "prompt": "b"}]', "'prompt' means the same as another value"),
    ("a.json", '[{"text": "a", "tolerance": 1}]', "There is a tolerance but no number."),
    ("a.json", '[{"text": "a", "contains": [1]}]', "'contains' has to be a text or a list of texts."),
    ("a.json", '[{"text": "a", "checks": [{"type": "nmber"}]}]', "Prompt 1: The checks cannot be read"),
    ("a.json", '[{"text": "a", "pattern": "("}]', "Prompt 1: The pattern ( cannot be read"),
    ("a.json", '[{"text": "a", "json_schema": {"type": "thing"}}]', "Prompt 1: The JSON Schema is not valid"),
    ("a.jsonl", '"a"\n{"text": }\n"b"', "Line 2: This is no JSON"),
    ("a.jsonl", '"a"\n{"txet": "b"}', "Line 2: 'txet' is not known"),
    ("a.csv", "text,expeced\nA,B", "Line 1: The column 'expeced' is not known"),
    ("a.csv", "tag\nA", "Line 1: No column is called text or prompt."),
    ("a.csv", "text,prompt\nA,B", "Line 1: Two columns of the heading mean the same."),
    ("a.csv", "text,number\n\"A\nB\",1\nC,x", "Line 4: 'number' has to be a number"),
    ("a.csv", "text\nA,B,C", "Line 2: There are 3 cells, but the heading has 1."),
    ("a.csv", "text,tag\n,a", "Line 2: There is no text of a prompt."),
    ("a.csv", 'text\n"A', "Line 2: The table cannot be read"),
])
def test_what_is_wrong_is_told_with_its_place(name: str, data: bytes | str, expected: str) -> None:
    assert any(expected in problem for problem in problems_of(name, data)), problems_of(name, data)


def test_the_rest_of_a_file_is_read_past_a_mistake() -> None:
    found = read_prompts("a.jsonl", b'"One"\n{"text": ""}\n{"x": 1}\n"Four"')
    assert [problem.line for problem in found.problems] == [2, 3]
    assert found.prompt_set is not None
    assert [prompt.text for prompt in found.prompt_set.prompts] == ["One", "Four"]


def test_half_a_character_of_an_escape_is_replaced() -> None:
    (prompt,) = prompts_of("a.json", r'["\ud83d\ude00 \ud83d"]')
    assert prompt.text == "😀 \ufffd"


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40).filter(str.strip)
CHECK = st.one_of(
    st.builds(ExactCheck, text=TEXT, case_matters=st.booleans()),
    st.builds(ContainsCheck, texts=st.lists(TEXT, min_size=1, max_size=3).map(tuple), case_matters=st.booleans()),
    st.builds(PatternCheck, pattern=st.sampled_from(["a", r"\d+", "^x|y$"]), is_absent=st.booleans()),
    st.builds(NumberCheck, value=st.floats(allow_nan=False, allow_infinity=False), tolerance=st.floats(0, 10)),
    st.just(SchemaCheck(json_schema='{"type": "array"}')))
PROMPT = st.builds(
    Prompt, text=TEXT, tag=TEXT.map(str.strip), checks=st.lists(CHECK, max_size=3).map(tuple), system_prompt=st.none() | TEXT)
NAME = st.text(string.ascii_letters + " äß😀", min_size=1).map(lambda name: " ".join(name.split())).filter(bool)


SET = st.builds(
    PromptSet, name=NAME, prompts=st.lists(PROMPT, min_size=1, max_size=4).map(tuple), description=TEXT.map(str.strip))


@given(SET)
def test_a_set_survives_its_file(prompt_set: PromptSet) -> None:
    found = read_prompts("other.json", written_prompts(prompt_set))
    assert found.problems == ()
    assert found.prompt_set == prompt_set


@given(st.lists(st.text(string.ascii_letters + " ,;\"'äß|", min_size=1).map(str.strip).filter(bool), min_size=1, max_size=5))
def test_a_table_survives_any_quoting(texts: list[str]) -> None:
    quoted = ['"' + text.replace('"', '""') + '"' for text in texts]
    assert [prompt.text for prompt in prompts_of("a.csv", "\n".join(["text", *quoted]))] == texts


@given(st.sampled_from(FILE_SUFFIXES), st.binary(max_size=200) | st.text(
    alphabet='{}[]":,;\n\t\\ text prompt number contains pattern-|1e\ud800', max_size=120).map(
        lambda text: text.encode("utf-8", "surrogatepass")))
def test_no_file_makes_reading_raise(suffix: str, data: bytes) -> None:
    found = read_prompts(f"any{suffix}", data)
    assert found.prompt_set is not None or found.problems
