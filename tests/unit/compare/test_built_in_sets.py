from __future__ import annotations

import itertools

import pytest

from localai_app.compare.checking import check_answer, is_right
from localai_app.compare.prompts import PromptSet
from localai_app.paths import resources_dir
from localai_app.services.compare.prompt_sets import BUILT_IN_ORDER, load_built_in
from tests.unit.compare.built_in_answers import ANSWERS

TAGS = ("reasoning", "coding", "summarizing", "translation", "instruction following")


def built_in(stem: str) -> PromptSet:
    return load_built_in(resources_dir() / "prompts" / f"{stem}.json")


CASES = [pytest.param(stem, number, id=f"{stem}-{number + 1}") for stem in BUILT_IN_ORDER for number in range(12)]


@pytest.mark.parametrize(("stem", "number"), CASES)
def test_right_answers_pass_and_wrong_ones_fail(stem: str, number: int) -> None:
    prompt = built_in(stem).prompts[number]
    right, wrong = ANSWERS[stem][number]
    assert right
    assert wrong
    for answer in right:
        results = check_answer(prompt, answer)
        assert is_right(results), (prompt.text, answer, results)
    for answer in wrong:
        assert is_right(check_answer(prompt, answer)) is False, (prompt.text, answer)


def test_there_are_five_sets_of_a_dozen_short_prompts() -> None:
    assert [path.stem for path in sorted((resources_dir() / "prompts").iterdir())] == sorted(BUILT_IN_ORDER)
    for stem, tag in zip(BUILT_IN_ORDER, TAGS, strict=True):
        found = built_in(stem)
        assert found.is_built_in
        assert found.name
        assert found.description
        assert len(found.prompts) == 12
        for prompt in found.prompts:
            assert prompt.tag == tag
            assert prompt.checks
            assert len(prompt.text) < 500


def test_no_two_prompts_are_alike() -> None:
    texts = [prompt.text for stem in BUILT_IN_ORDER for prompt in built_in(stem).prompts]
    words = [set(text.lower().split()) for text in texts]
    for (text, one), (other_text, other) in itertools.combinations(zip(texts, words, strict=True), 2):
        likeness = len(one & other) / len(one | other)
        assert likeness < 0.75, (text, other_text)
