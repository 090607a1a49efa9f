from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai_app.compare.answer_numbers import last_number
from localai_app.compare.checking import MAX_ANSWER_CHARS, check_answer, check_problem, check_words, is_right
from localai_app.compare.checks import Check, ContainsCheck, ExactCheck, NumberCheck, PatternCheck, SchemaCheck
from localai_app.compare.prompts import Prompt

ADA = '{"name": "Ada", "age": 36}'
PERSON = json.dumps({
    "type": "object", "required": ["name", "age"], "additionalProperties": False,
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}}})


def outcome(check: Check, text: str) -> tuple[bool, str]:
    (result,) = check_answer(Prompt(text="?", checks=(check,)), text)
    assert result.passed == (not result.words)
    return result.passed, result.words


@pytest.mark.parametrize(("check", "right", "wrong"), [
    (ExactCheck(text="Paris"), "\n paris ", "Paris."),
    (ExactCheck(text="Paris", case_matters=True), " Paris", "paris"),
    (ExactCheck(text="café"), "cafe\u0301", "cafe"),
    (ContainsCheck(texts=("Blue", "grün")), "BLUE und GRÜN", "blue"),
    (ContainsCheck(texts=("Blue",), case_matters=True), "so Blue", "so blue"),
    (PatternCheck(pattern=r"^\d{4}$"), "2024", "24"),
    (PatternCheck(pattern=r"(?i)sorry", is_absent=True), "yes", "Sorry, no"),
    (NumberCheck(value=42), "The answer is 42.", "The answer is 43."),
    (NumberCheck(value=0.3), str(0.1 + 0.2), "0.31"),
    (NumberCheck(value=10, tolerance=0.5), "about 10.5 m", "10.6"),
    (SchemaCheck(json_schema=PERSON), '{"name": "Ada", "age": 36}', '{"name": "Ada", "age": -1}'),
    (SchemaCheck(json_schema=PERSON), f"Here:\n```json\n{ADA}\n```\nDone.", f"Here: {ADA}"),
    (SchemaCheck(json_schema=PERSON), '```{"name": "Ada", "age": 36}', '{"name": "Ada"}'),
    (SchemaCheck(json_schema='{"type": "number"}'), "1", "NaN"),
])
def test_a_right_answer_passes_and_a_wrong_one_says_why(check: Check, right: str, wrong: str) -> None:
    assert check_problem(check) == ""
    assert outcome(check, right) == (True, "")
    passed, words = outcome(check, wrong)
    assert not passed
    assert words.endswith(".")
    assert check_words(check)


@pytest.mark.parametrize(("text", "readings"), [
    ("The answer is 42.", (42,)), ("**17**", (17,)), ("3, 5", (5,)), ("3,5,7", (7,)), ("x = -3", (-3,)), ("is −3", (-3,)),
    ("7-3", (3,)), ("5 - 3", (3,)), ("- 42\n- 43", (43,)), ("3–5", (5,)), ("-$5", (-5,)), (".5", (0.5,)), ("42km", (42,)),
    ("1,234.5", (1234.5,)), ("1.234,5", (1234.5,)), ("1 234,5", (1234.5,)), ("1\u202f234", (1234,)), ("1'000", (1000,)),
    ("1_000", (1000,)), ("1,00,000", (100000,)), ("1 000 000", (1000000,)), ("1,234", (1.234, 1234)), ("5 100", (5100, 100)),
    ("2e3", (2000,)), ("2E-3", (0.002,)), ("2×10^3", (2000,)), (r"2 \times 10^{-3}", (0.002,)), ("2·10³", (2000,)),
    ("50 %", (50, 0.5)), ("3/4", (0.75,)), ("1 3/4", (1.75, 0.75)), ("2½", (2.5, 0.5)), (r"\frac{3}{4}", (0.75,)),
    ("12/25/2024", (2024,)), (r"so \boxed{42} in 3 steps", (42,)), (r"\boxed{\frac{1}{2}}, step 9", (0.5,)), ("CO2 is 7", (7,)),
    ("4 x 10 cm", (10,)), ("5 m²", (5,)), (r"$1{,}234$", (1.234, 1234)), ("٣٤", (34,)), ("3/0", (float("inf"),)),
])
def test_numbers_are_read_as_people_and_models_write_them(text: str, readings: tuple[float, ...]) -> None:
    found = last_number(text)
    assert found is not None
    assert found[1] == pytest.approx(readings)


@pytest.mark.parametrize("text", ["", "none", "CO2", "x1", "forty-two", r"\boxed{}"])
def test_what_is_no_number_is_none(text: str) -> None:
    assert last_number(text) is None
    assert outcome(NumberCheck(value=1), text) == (False, "There is no number in the answer; 1 was expected.")


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["{}", "x = {}.", "**{}**", "1 and then {} m"]))
def test_each_number_is_found_again_as_python_writes_it(value: float, frame: str) -> None:
    found = last_number(frame.format(value))
    assert found is not None
    assert any(reading == pytest.approx(value) for reading in found[1])


@given(st.integers(-10**12, 10**12), st.sampled_from([",", "'", "_", " ", "\u202f", "."]))
def test_groups_of_thousands_are_one_number(value: int, sign: str) -> None:
    found = last_number(f"The sum: {value:,}".replace(",", sign))
    assert found is not None
    assert value in found[1]


@given(st.text(max_size=300) | st.text(alphabet="0123456789.,-−/ %$e×^{}\\boxedfrac½³'\n", max_size=60))
def test_no_text_makes_a_check_raise(text: str) -> None:
    checks = (ExactCheck(text=text), ContainsCheck(texts=(text,)), PatternCheck(pattern=text), NumberCheck(value=1),
              SchemaCheck(json_schema=PERSON), SchemaCheck(json_schema=text))
    results = check_answer(Prompt(text="?", checks=checks), text)
    assert len(results) == len(checks)
    assert results[0].passed == bool(text.strip())
    assert results[1].passed == bool(text.strip())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["type", "$ref", "pattern", "properties", "allOf", "items", "enum", "minimum", "$schema", "$id", "a"]),
        inner, max_size=4), max_leaves=12)


@given(JSON, JSON)
def test_no_schema_makes_a_check_raise(schema: object, value: object) -> None:
    outcome(SchemaCheck(json_schema=json.dumps(schema)), json.dumps(value))


@given(JSON)
def test_json_is_read_with_and_without_a_fence(value: object) -> None:
    check = SchemaCheck(json_schema=json.dumps({"const": value}))
    for text in (json.dumps(value), json.dumps(value, indent=2), f"So:\n```json\n{json.dumps(value)}\n```\n"):
        assert outcome(check, text)[0]


DOUBLING = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)}


@pytest.mark.parametrize("check", [
    PatternCheck(pattern=r"(a|aa)+$"),
    SchemaCheck(json_schema=r'{"pattern": "(a|aa)+$"}'),
    SchemaCheck(json_schema=json.dumps({"$defs": {**DOUBLING, "d40": {}}, "$ref": "#/$defs/d0"})),
])
def test_what_would_take_for_ever_is_given_up(check: Check) -> None:
    answer = "a" * 40 + "!"
    started_s = time.monotonic()
    passed, words = outcome(check, json.dumps(answer))
    assert not passed
    assert "longer than 1 second" in words
    assert time.monotonic() - started_s < 20


@pytest.mark.parametrize("ref", ["http://127.0.0.1:9/schema.json", "file:///etc/passwd", "other.json", "#/$defs/none"])
def test_no_reference_is_fetched(ref: str) -> None:
    assert "nothing is fetched" in outcome(SchemaCheck(json_schema=json.dumps({"$ref": ref})), "1")[1]


def test_a_schema_that_never_ends_is_a_failed_check() -> None:
    assert "nested too deeply" in outcome(SchemaCheck(json_schema='{"$ref": "#"}'), "1")[1]
    assert "nested too deeply" in outcome(SchemaCheck(json_schema="{}"), "[" * 100_000)[1]


@pytest.mark.parametrize(("check", "words"), [
    (ExactCheck(text=" "), "no text"), (ContainsCheck(texts=()), "no text"), (ContainsCheck(texts=("a", "")), "no text"),
    (PatternCheck(pattern=""), "no pattern"), (PatternCheck(pattern="(a"), "cannot be read"),
    (NumberCheck(value=float("nan")), "finite"), (NumberCheck(value=1, tolerance=-1), "finite"),
    (SchemaCheck(json_schema="{"), "no JSON"), (SchemaCheck(json_schema="3"), "no object"),
    (SchemaCheck(json_schema='{"type": "nothing"}'), "not valid"), (PatternCheck(pattern="a" * 20_001), "longer than"),
])
def test_a_check_that_cannot_be_made_is_told_and_fails(check: Check, words: str) -> None:
    assert words in check_problem(check)
    assert words in outcome(check, "1")[1]


def test_an_answer_beyond_the_bound_fails_every_check() -> None:
    results = check_answer(Prompt(text="?", checks=(NumberCheck(value=1), ExactCheck(text="1"))), "1" * (MAX_ANSWER_CHARS + 1))
    assert [result.passed for result in results] == [False, False]
    assert "500,000 characters" in results[0].words


def test_the_last_number_of_an_answer_that_was_cut_off_is_no_result() -> None:
    prompt = Prompt(text="?", checks=(NumberCheck(value=40), ContainsCheck(texts=("minutes",))))
    results = check_answer(prompt, "First the 3 shirts: 40 minutes in 40", is_cut=True)
    assert [result.passed for result in results] == [False, True]
    assert "cut off" in results[0].words


def test_an_answer_is_right_where_all_checks_pass() -> None:
    prompt = Prompt(text="?", checks=(NumberCheck(value=4), ContainsCheck(texts=("cats",))))
    assert is_right(check_answer(prompt, "cats: 4")) is True
    assert is_right(check_answer(prompt, "dogs: 4")) is False
    assert is_right(check_answer(Prompt(text="?"), "anything")) is None
