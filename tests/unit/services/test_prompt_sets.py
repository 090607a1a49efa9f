"""Prompt sets of the program and of the user, in a real store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from localai_app.compare.checks import NumberCheck, PatternCheck
from localai_app.compare.prompts import Prompt, PromptSet
from localai_app.errors import AppError
from localai_app.paths import resources_dir
from localai_app.services.compare.prompt_sets import PromptSetService
from localai_app.services.events import Event, EventBus, PromptSetsChanged
from localai_app.store.database import Store, open_store
from localai_app.store.records import Role

MINE = PromptSet(name="Mine", prompts=(Prompt(text="2 + 2?", tag="sums", checks=(NumberCheck(value=4),)),))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "localai.sqlite3")
    yield opened
    opened.close()


@pytest.fixture
def heard() -> list[Event]:
    return []


@pytest.fixture
def service(store: Store, heard: list[Event]) -> PromptSetService:
    events = EventBus()
    events.subscribe(heard.append)
    return PromptSetService(events, store.prompt_sets, store.conversations, resources_dir() / "prompts")


def own_names(service: PromptSetService) -> list[str]:
    return [known.name for known in service.sets() if not known.is_built_in]


def test_sets_of_the_program_come_first(service: PromptSetService) -> None:
    service.save(MINE)
    assert [known.name for known in service.sets()] == [
        "Reasoning", "Coding", "Summarizing", "Translation", "Instruction following", "Mine"]
    assert service.get(" reasoning ").is_built_in


def test_an_own_set_is_kept_renamed_and_removed(service: PromptSetService, store: Store, heard: list[Event]) -> None:
    service.save(msgspec.structs.replace(MINE, name=" Mine ", is_built_in=True))
    assert PromptSetService(EventBus(), store.prompt_sets, store.conversations, Path("none"))._own_sets() == (MINE,)
    service.rename("mine", "Sums")
    service.rename("Sums", "SUMS")
    assert own_names(service) == ["SUMS"]
    removed = service.remove("sums")
    assert own_names(service) == []
    service.save(removed)
    assert own_names(service) == ["SUMS"]
    assert heard == [PromptSetsChanged()] * 5


def test_a_set_is_changed_under_its_name(service: PromptSetService) -> None:
    service.save(MINE)
    changed = msgspec.structs.replace(MINE, prompts=(Prompt(text="Other"),))
    with pytest.raises(AppError, match="another prompt set called Mine"):
        service.save(changed)
    service.save(changed, replaces="Mine")
    assert service.get("Mine") == changed


@pytest.mark.parametrize(("changes", "code"), [
    ({"name": "  "}, "prompt_set_wrong"), ({"name": "x" * 81}, "prompt_set_wrong"), ({"prompts": ()}, "prompt_set_wrong"),
    ({"name": "coding"}, "prompt_set_built_in"), ({"prompts": (Prompt(text=" "),)}, "prompt_set_wrong"),
    ({"prompts": (Prompt(text="a", checks=(PatternCheck(pattern="("),)),)}, "prompt_set_wrong"),
])
def test_what_cannot_be_kept_is_told(service: PromptSetService, changes: dict, code: str) -> None:
    with pytest.raises(AppError) as caught:
        service.save(msgspec.structs.replace(MINE, **changes))
    assert caught.value.code == code
    assert own_names(service) == []


def test_sets_of_the_program_stay_as_they_are(service: PromptSetService) -> None:
    for change in (lambda: service.remove("Coding"), lambda: service.rename("Coding", "Mine")):
        with pytest.raises(AppError) as caught:
            change()
        assert caught.value.code == "prompt_set_built_in"
    with pytest.raises(AppError, match="no prompt set called Nothing"):
        service.get("Nothing")


def test_a_damaged_row_costs_itself_alone(service: PromptSetService, store: Store) -> None:
    service.save(MINE)
    store.prompt_sets.set("Broken", "{")
    assert own_names(service) == ["Mine"]


def test_free_names_are_counted_up(service: PromptSetService) -> None:
    assert service.free_name("Mine") == "Mine"
    service.save(MINE)
    assert service.free_name("mine ") == "mine 2"
    assert service.free_name("Coding") == "Coding 2"
    assert len(service.free_name("x" * 100)) == 80


def test_a_set_goes_through_a_file(service: PromptSetService, tmp_path: Path) -> None:
    service.save(MINE)
    service.export("Mine", tmp_path / "mine.json")
    assert service.from_file(tmp_path / "mine.json") == MINE
    service.export("Coding", tmp_path / "coding.json")
    assert service.from_file(tmp_path / "coding.json") == msgspec.structs.replace(service.get("Coding"), is_built_in=False)


def test_files_that_cannot_be_used_say_why(service: PromptSetService, tmp_path: Path) -> None:
    with pytest.raises(AppError, match=r"none.csv cannot be opened: No such file"):
        service.from_file(tmp_path / "none.csv")
    with pytest.raises(AppError, match="cannot be opened"):
        service.export("Coding", tmp_path)
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("text,number\nA,one\nB,two\nC,3\n")
    with pytest.raises(AppError, match=r"Line 2: 'number' has to be a number such as 12.5. \(and 1 more\)") as caught:
        service.from_file(wrong)
    assert "Line 3" in caught.value.detail


def test_past_chats_become_prompts(service: PromptSetService, store: Store) -> None:
    chats = []
    for texts in (("First?", "More?", "First?"), ("First?",), ()):
        chat = store.conversations.create("A chat")
        chats.append(chat.id)
        for text in texts:
            store.conversations.add_message(chat.id, Role.USER, f" {text}\n")
            store.conversations.add_message(chat.id, Role.ASSISTANT, "Answer.")
    assert [prompt.text for prompt in service.from_chats(chats, "Chats").prompts] == ["First?"]
    found = service.from_chats(chats, " My  chats ", first_only=False)
    assert (found.name, [prompt.text for prompt in found.prompts]) == ("My chats", ["First?", "More?"])
    with pytest.raises(AppError, match="no prompt in it"):
        service.from_chats(chats[2:], "Empty")
    with pytest.raises(AppError) as caught:
        service.from_chats([10_000], "Gone")
    assert caught.value.code == "chat_missing"
