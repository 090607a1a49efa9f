from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai_app.engine.worker.stop_strings import StopStringFilter

letters = st.text("ab<|🙂", max_size=40)
stops = st.lists(st.text("ab<|🙂", min_size=1, max_size=5), max_size=4)


def cut(text: str, data: st.DataObject) -> list[str]:
    pieces = []
    while text:
        length = data.draw(st.integers(1, len(text)))
        pieces.append(text[:length])
        text = text[length:]
    return pieces


@given(letters, stops, st.data())
def test_shown_is_what_precedes_the_first_stop_string(text: str, stop_strings: list[str], data: st.DataObject) -> None:
    stop_filter = StopStringFilter(stop_strings)
    shown = ""
    for piece in cut(text, data):
        shown += stop_filter.feed(piece)
        assert not any(stop in shown for stop in stop_strings)
        if stop_filter.has_matched:
            break
    if stop_filter.has_matched:
        first_end = min(text.find(stop) + len(stop) for stop in stop_strings if stop in text)
        assert text.startswith(shown)
        assert len(shown) < first_end
        assert any(text[len(shown):].startswith(stop) for stop in stop_strings)
    else:
        assert not any(stop in text for stop in stop_strings)
        assert shown + stop_filter.flush() == text


@given(letters, stops)
def test_only_a_possible_beginning_is_held_back(text: str, stop_strings: list[str]) -> None:
    stop_filter = StopStringFilter(stop_strings)
    shown = stop_filter.feed(text)
    if not stop_filter.has_matched:
        held = text[len(shown):]
        assert not held or any(stop.startswith(held) and stop != held for stop in stop_strings)


def test_nothing_is_shown_after_the_end() -> None:
    stop_filter = StopStringFilter(("END",))
    assert stop_filter.feed("a E") == "a "
    assert stop_filter.feed("ND b") == ""
    assert stop_filter.has_matched
    assert stop_filter.feed("more") == ""
    assert stop_filter.flush() == ""


@pytest.mark.parametrize("stop_strings", [(), ("",)])
def test_without_stop_strings_text_passes_at_once(stop_strings: tuple[str, ...]) -> None:
    assert StopStringFilter(stop_strings).feed("text") == "text"
