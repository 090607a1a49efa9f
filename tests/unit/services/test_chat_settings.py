from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai_app.engine.sampling import SAMPLING_SPECS, LogitBias, Sampling, sampling_problem
from localai_app.engine.sampling_values import SamplingValues
from localai_app.services.chat_settings import ChatSettings, ChatSettingsService
from localai_app.services.events import ChatSettingsChanged, Event, EventBus
from localai_app.store.database import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "store.sqlite")
    yield opened
    opened.close()


def test_settings_of_a_chat_are_kept_told_and_gone_with_it(store: Store) -> None:
    events, heard = EventBus(), list[Event]()
    events.subscribe(heard.append)
    service = ChatSettingsService(store, events)
    chat = store.conversations.create("a")
    other = store.conversations.create("b")
    settings = ChatSettings(
        system_prompt="", seed=7, thinking="off", overflow="drop_oldest",
        sampling=SamplingValues(numbers={"top_k": 3}, logit_bias=(LogitBias(token="x", bias=-1.0),)))
    service.set(chat.id, settings)
    service.set(chat.id, settings)
    assert service.get(chat.id) == settings
    assert service.get(other.id) == ChatSettings()
    assert heard == [ChatSettingsChanged(chat.id)]
    store.conversations.delete(chat.id)
    store.conversations.restore_last_deleted()
    assert service.get(chat.id) == settings
    service.set(9999, settings)
    assert service.get(9999) == ChatSettings()


def test_settings_that_make_no_sense_are_left_out(store: Store) -> None:
    service = ChatSettingsService(store, EventBus())
    chat = store.conversations.create("a")
    store.chat_settings.set_of_chat(
        chat.id, '{"seed": 3, "later": 1, "sampling": {"numbers": {"top_k": -5, "new": 1, "min_p": 0.5}}}')
    assert service.get(chat.id) == ChatSettings(seed=3, sampling=SamplingValues(numbers={"min_p": 0.5}))
    store.chat_settings.set_of_chat(chat.id, "{")
    assert service.get(chat.id) == ChatSettings()


def test_a_grammar_replaces_a_schema() -> None:
    base = Sampling(json_schema="{}", stop=("a",), seed=4)
    changed = SamplingValues(grammar='root ::= "b"', numbers={"temperature": 0.0}).applied_to(base)
    assert (changed.grammar, changed.json_schema, changed.stop, changed.seed) == ('root ::= "b"', "", ("a",), 4)
    assert changed.temperature == 0.0
    assert SamplingValues().applied_to(base) == base


keys = st.sampled_from([spec.key for spec in SAMPLING_SPECS]) | st.text(max_size=5)


@given(st.dictionaries(keys, st.floats() | st.integers(-1000, 1000)))
def test_whatever_was_stored_gives_a_valid_sampling(numbers: dict[str, float]) -> None:
    assert not sampling_problem(SamplingValues(numbers=numbers).applied_to(Sampling()))
