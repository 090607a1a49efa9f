"""Prompt sets in the window: looked at, written, brought in, chosen; checks without JSON."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from localai_app.compare.checks import Check, ContainsCheck, ExactCheck, NumberCheck, PatternCheck, SchemaCheck
from localai_app.compare.prompts import Prompt, PromptSet
from localai_app.compare.schema_fields import schema_of_fields
from localai_app.gui.bridge import Bridge
from localai_app.gui.compare import check_row as kinds
from localai_app.gui.compare.chat_choice_dialog import ChatChoiceDialog
from localai_app.gui.compare.check_row import CheckRow
from localai_app.gui.compare.prompt_editor import NO_CHECKS
from localai_app.gui.compare.prompt_sets_dialog import PromptSetsDialog
from localai_app.gui.theme import ThemeState
from localai_app.services.app_services import AppServices
from localai_app.store.records import Role
from tests.gui.models.models_stage import eventually, nameless

Show = Callable[..., Any]
MINE = PromptSet(name="Mine", prompts=(
    Prompt(text="2 + 2?", tag="sums", checks=(NumberCheck(value=4, tolerance=0.5),)),
    Prompt(text="Hello", system_prompt="Be kind.")))


@pytest.fixture
def dialog(show: Show, services: AppServices, theme: ThemeState, bridge: Bridge, qtbot: Any) -> PromptSetsDialog:
    services.compare.prompt_sets.save(MINE)
    made = PromptSetsDialog(services, theme, bridge)
    made.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
    show(made, 1060, 700)
    eventually(qtbot, lambda: made.list.count() == 6)
    return made


def choose(dialog: PromptSetsDialog, name: str) -> None:
    dialog.list.setCurrentRow(names(dialog).index(name))


def names(dialog: PromptSetsDialog) -> list[str]:
    return [dialog.list.item(row).text() for row in range(dialog.list.count())]


def kept(services: AppServices, name: str = "Mine") -> PromptSet:
    return services.compare.prompt_sets.get(name)


def type_into(row: CheckRow, kind: str, text: str, tolerance: str = "") -> None:
    row.kind.setCurrentIndex(row.kind.findData(kind))
    row.field.setText(text)
    row.tolerance.setText(tolerance)
    row.field.textEdited.emit(text)


def test_sets_of_the_program_are_shown_with_their_checks(dialog: PromptSetsDialog) -> None:
    assert names(dialog) == ["Reasoning", "Coding", "Summarizing", "Translation", "Instruction following", "Mine"]
    assert dialog.view.model.rowCount() == 12
    assert dialog.view.editor.words == "· has 12 as its last number"
    assert dialog.view.editor.text.isReadOnly()
    assert not dialog.view.add_button.isVisible()
    assert not dialog.delete_button.isEnabled()
    assert nameless(dialog) == []


def test_a_set_is_chosen(dialog: PromptSetsDialog, services: AppServices, qtbot: Any) -> None:
    choose(dialog, "Coding")
    with qtbot.waitSignal(dialog.set_chosen) as chosen:
        dialog.use_button.click()
    assert chosen.args == [kept(services, "Coding")]
    assert not dialog.isVisible()


def test_what_is_typed_is_kept(dialog: PromptSetsDialog, services: AppServices, qtbot: Any) -> None:
    choose(dialog, "Mine")
    editor = dialog.view.editor
    assert [row.check for row in editor.rows] == [NumberCheck(value=4, tolerance=0.5)]
    editor.text.setPlainText("3 + 3?")
    type_into(editor.rows[0], kinds.NUMBER, "6")
    eventually(qtbot, lambda: kept(services).prompts[0].text == "3 + 3?")
    assert kept(services).prompts[0] == Prompt(text="3 + 3?", tag="sums", checks=(NumberCheck(value=6),))
    assert dialog.view.model.index(0, 1).data() == "3 + 3?"
    dialog.view.table.setCurrentIndex(dialog.view.model.index(1, 1))
    assert editor.words == NO_CHECKS
    editor.text.setPlainText("Good morning")
    dialog.close()
    assert kept(services).prompts[1] == Prompt(text="Good morning", system_prompt="Be kind.")


def test_a_check_is_added_and_taken_away(dialog: PromptSetsDialog, services: AppServices) -> None:
    choose(dialog, "Mine")
    editor = dialog.view.editor
    editor.add_button.click()
    assert editor.rows[1].check is None
    type_into(editor.rows[1], kinds.PATTERN, "(four")
    assert "cannot be read" in editor.rows[1].problem
    dialog.view.flush()
    assert kept(services) == MINE, "what is not complete is left out, and nothing else is lost"
    type_into(editor.rows[1], kinds.PATTERN, "(four)")
    dialog.view.flush()
    assert kept(services).prompts[0].checks == (NumberCheck(value=4, tolerance=0.5), PatternCheck(pattern="(four)"))
    editor.rows[0].remove_button.click()
    editor.rows[0].remove_button.click()
    assert editor.words == NO_CHECKS
    dialog.view.flush()
    assert kept(services).prompts[0].checks == ()


def test_prompts_are_added_and_removed(dialog: PromptSetsDialog, services: AppServices) -> None:
    choose(dialog, "Mine")
    dialog.view.add_button.click()
    assert [prompt.text for prompt in kept(services).prompts] == ["2 + 2?", "Hello", "New prompt"]
    assert dialog.view.editor.text.textCursor().selectedText() == "New prompt"
    dialog.view.table.setCurrentIndex(dialog.view.model.index(0, 1))
    dialog.view.remove_button.click()
    assert [prompt.text for prompt in kept(services).prompts] == ["Hello", "New prompt"]
    dialog.undo_bar.button.click()
    assert [prompt.text for prompt in kept(services).prompts] == ["2 + 2?", "Hello", "New prompt"]
    assert dialog.view.model.rowCount() == 3


def test_a_set_is_written_renamed_and_deleted(dialog: PromptSetsDialog, services: AppServices) -> None:
    dialog.new_button.click()
    assert names(dialog)[-1] == "My prompts"
    dialog.view.name.setText("Coding")
    dialog.view.name.editingFinished.emit()
    assert dialog.banner.error is not None
    assert dialog.view.name.text() == "My prompts"
    dialog.view.name.setText("Mail")
    dialog.view.name.editingFinished.emit()
    assert names(dialog)[5:] == ["Mail", "Mine"]
    dialog.delete_button.click()
    assert names(dialog)[5:] == ["Mine"]
    dialog.undo_bar.button.click()
    assert names(dialog)[5:] == ["Mail", "Mine"]
    assert dialog.view.prompt_set == kept(services, "Mail")


def test_a_set_of_the_program_is_duplicated_to_be_changed(dialog: PromptSetsDialog, services: AppServices) -> None:
    dialog.duplicate_button.click()
    assert names(dialog)[5:] == ["Mine", "Reasoning 2"]
    assert dialog.view.is_own
    assert kept(services, "Reasoning 2").prompts == kept(services, "Reasoning").prompts


def test_files_come_and_go(dialog: PromptSetsDialog, services: AppServices, tmp_path: Path, qtbot: Any) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("text,contains\nWhat?,yes\n")
    dialog.sources.import_file(file)
    eventually(qtbot, lambda: "mine 2" in names(dialog))
    assert kept(services, "mine 2").prompts == (Prompt(text="What?", checks=(ContainsCheck(texts=("yes",)),)),)
    dialog.sources.export_to(kept(services, "mine 2"), tmp_path / "out.json")
    eventually(qtbot, (tmp_path / "out.json").is_file)
    file.write_text("text,number\nWhat?,yes\n")
    dialog.sources.import_file(file)
    eventually(qtbot, lambda: dialog.banner.error is not None)
    assert "Line 2" in dialog.banner.error.message


def test_questions_of_past_chats_become_a_set(dialog: PromptSetsDialog, services: AppServices, qtbot: Any) -> None:
    for text in ("First?", "Second?"):
        chat = services.store.conversations.create(f"About {text}")
        services.store.conversations.add_message(chat.id, Role.USER, text)
    dialog.chats_button.click()
    eventually(qtbot, lambda: any(isinstance(one, ChatChoiceDialog) for one in QApplication.topLevelWidgets()))
    chooser = dialog.findChild(ChatChoiceDialog)
    assert chooser is not None
    assert not chooser.use_button.isEnabled()
    chooser.search.setText("second")
    assert [chooser.list.item(row).isHidden() for row in range(2)] == [False, True]
    chooser.list.item(0).setCheckState(Qt.CheckState.Checked)
    chooser.use_button.click()
    eventually(qtbot, lambda: "From my chats" in names(dialog))
    assert [prompt.text for prompt in kept(services, "From my chats").prompts] == ["Second?"]


def test_a_list_that_somebody_else_changed_is_read_again(dialog: PromptSetsDialog, services: AppServices, qtbot: Any) -> None:
    services.compare.prompt_sets.save(PromptSet(name="Another", prompts=MINE.prompts))
    eventually(qtbot, lambda: "Another" in names(dialog))


@pytest.mark.parametrize("check", [
    ExactCheck(text="Yes", case_matters=True), ContainsCheck(texts=("a", "b | c")), NumberCheck(value=0.1, tolerance=0.25),
    PatternCheck(pattern="^a"), PatternCheck(pattern="b", is_absent=True), SchemaCheck(json_schema='{"type": "array"}'),
    SchemaCheck(json_schema=schema_of_fields("city: text, size: number")),
])
def test_every_check_is_shown_and_read_back(show: Show, theme: ThemeState, check: Check) -> None:
    row: CheckRow = show(CheckRow(theme), 600, 60)
    row.show_check(check)
    assert row.check == check
    assert row.problem == ""


@pytest.mark.parametrize(("kind", "text", "tolerance", "expected"), [
    (kinds.CONTAINS, "a | b", "", ContainsCheck(texts=("a", "b"))), (kinds.EXACT, " a ", "", ExactCheck(text="a")),
    (kinds.NUMBER, "1.5", "0.1", NumberCheck(value=1.5, tolerance=0.1)), (kinds.NUMBER, "3/4", "", NumberCheck(value=0.75)),
    (kinds.NOT_PATTERN, "x", "", PatternCheck(pattern="x", is_absent=True)),
    (kinds.FIELDS, "a: text", "", SchemaCheck(json_schema=schema_of_fields("a: text"))),
    (kinds.NUMBER, "four", "", "Write a number such as 12.5."), (kinds.FIELDS, "a: nmber", "", "no kind of value"),
    (kinds.SCHEMA, "{", "", "no JSON"), (kinds.CONTAINS, "", "", "no text"), (kinds.NUMBER, "nan", "", "finite"),
])
def test_checks_are_written_without_json(
    show: Show, theme: ThemeState, kind: str, text: str, tolerance: str, expected: Check | str,
) -> None:
    row: CheckRow = show(CheckRow(theme), 600, 60)
    type_into(row, kind, text, tolerance)
    if isinstance(expected, str):
        assert row.check is None
        assert expected in row.problem
    else:
        assert row.check == expected
