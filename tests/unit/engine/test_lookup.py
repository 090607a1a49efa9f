"""Prompt lookup, against a search that is written down plainly."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from localai_app.engine.worker.lookup import LONGEST_MATCH, SHORTEST_MATCH, PromptLookup

TOKENS = st.lists(st.integers(0, 3), max_size=60)


def plain_search(tokens: list[int], count: int) -> list[int]:
    for length in range(min(LONGEST_MATCH, len(tokens)), SHORTEST_MATCH - 1, -1):
        ending = tokens[-length:]
        for start in range(len(tokens) - length - 1, -1, -1):
            if tokens[start:start + length] == ending:
                behind = tokens[start + length:]
                return [behind[index % len(behind)] for index in range(count)]
    return []


@given(TOKENS, st.integers(0, 12))
def test_proposes_what_followed_the_newest_longest_match(tokens: list[int], count: int) -> None:
    lookup = PromptLookup()
    lookup.extend(tokens)
    assert lookup.propose(count) == plain_search(tokens, count)


@given(st.lists(TOKENS, max_size=6), st.integers(1, 8))
def test_tokens_in_parts_are_the_same_conversation(parts: list[list[int]], count: int) -> None:
    in_parts, at_once = PromptLookup(), PromptLookup()
    for part in parts:
        in_parts.extend(part)
        in_parts.propose(count)
    at_once.extend(token for part in parts for token in part)
    assert in_parts.propose(count) == at_once.propose(count)
    assert len(in_parts) == len(at_once) == sum(map(len, parts))


def test_a_repeated_text_is_proposed_to_its_end() -> None:
    lookup = PromptLookup()
    lookup.extend([1, 2, 3, 4, 5, 6, 7, 99, 1, 2, 3])
    assert lookup.propose(4) == [4, 5, 6, 7]


def test_a_loop_goes_round() -> None:
    lookup = PromptLookup()
    lookup.extend([8, 9, 8, 9, 8, 9])
    assert lookup.propose(5) == [8, 9, 8, 9, 8]


def test_new_text_has_no_proposal() -> None:
    lookup = PromptLookup()
    lookup.extend(range(50))
    assert lookup.propose(4) == []
