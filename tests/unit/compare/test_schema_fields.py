from __future__ import annotations

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai_app.compare.checking import check_answer, check_problem
from localai_app.compare.checks import SchemaCheck
from localai_app.compare.prompts import Prompt
from localai_app.compare.schema_fields import KINDS, fields_of_schema, schema_of_fields

FIELDS = st.dictionaries(
    st.text(string.ascii_letters + "_ä", min_size=1), st.sampled_from(sorted(KINDS)), min_size=1, max_size=4)


def test_fields_become_a_schema_that_checks_them() -> None:
    check = SchemaCheck(json_schema=schema_of_fields("city: text, population: Whole number,note"))
    prompt = Prompt(text="?", checks=(check,))
    assert check_problem(check) == ""
    assert check_answer(prompt, '{"city": "Oak", "population": 7, "note": null}')[0].passed
    assert not check_answer(prompt, '{"city": "Oak", "population": 7.5, "note": 1}')[0].passed
    assert not check_answer(prompt, '{"city": "Oak", "population": 7}')[0].passed


@pytest.mark.parametrize(("fields", "words"), [
    ("", "names of fields"), ("a,,b", "names of fields"), ("a: nmber", "no kind"), ("a,a", "twice")])
def test_what_makes_no_sense_is_told(fields: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        schema_of_fields(fields)


@given(FIELDS)
def test_fields_are_found_again(fields: dict[str, str]) -> None:
    written = ", ".join(name if kind == "anything" else f"{name}: {kind}" for name, kind in fields.items())
    assert fields_of_schema(schema_of_fields(written)) == written


@pytest.mark.parametrize("schema", [
    "{", "[]", "3", "{}", '{"type": "object"}', '{"type": "object", "properties": {"a": {"type": "null"}}, "required": ["a"]}',
    '{"type": "object", "properties": {"a": 1}, "required": ["a"]}', json.dumps({"const": 3}),
    '{"type": "object", "properties": {"a:b": {}}, "required": ["a:b"]}', '{"properties": {"a": {"type": ["string"]}}}',
])
def test_schemas_that_say_more_are_no_fields(schema: str) -> None:
    assert fields_of_schema(schema) is None
