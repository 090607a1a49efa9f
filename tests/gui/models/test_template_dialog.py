"""The chat template of a model: chosen by family, edited with a preview, remembered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from localai_app.engine.template_families import FAMILIES
from localai_app.gui.bridge import Bridge
from localai_app.gui.load.load_panel import LoadPanel
from localai_app.gui.load.template_dialog import TemplateDialog
from localai_app.gui.load.template_field import TemplateField
from localai_app.gui.theme import ThemeState
from localai_app.services.app_services import AppServices
from tests.gui.models.models_stage import eventually
from tests.helpers.gguf_files import CHAT_TEMPLATE
from tests.helpers.services_fixture import TINY_KEY, install_tiny_model

Show = Callable[..., Any]
LIMIT_MS = 20_000


@pytest.fixture
def field(show: Show) -> TemplateField:
    field: TemplateField = show(TemplateField(), 600, 120)
    field.show_own(CHAT_TEMPLATE, is_known=True)
    return field


def choose(field: TemplateField, name: str) -> None:
    field.box.setCurrentIndex(field.box.findData(name))
    field.box.activated.emit(field.box.currentIndex())


def test_a_family_is_chosen(field: TemplateField, qtbot: Any) -> None:
    assert (field.value, field.source) == ("", CHAT_TEMPLATE)
    with qtbot.waitSignal(field.value_changed):
        choose(field, "chatml")
    assert (field.value, field.source) == ("chatml", FAMILIES["chatml"].source)


def test_a_text_is_edited_first(field: TemplateField, qtbot: Any) -> None:
    with qtbot.waitSignal(field.edit_requested):
        choose(field, "custom")
    assert field.value == "", "nothing was written yet"
    field.choose_text("{{ messages[0].content }}")
    assert field.value == "{{ messages[0].content }}"
    assert field.box.currentText() == "Your own text"
    field.choose_text(CHAT_TEMPLATE + "\n")
    assert field.value == "", "that is the model's own one"


def test_a_missing_template_is_said(field: TemplateField) -> None:
    assert field.hint == ""
    field.show_own("", is_known=True)
    assert "has none" in field.hint
    field.show_value("chatml")
    assert field.hint == ""


def test_the_text_is_tried_out(show: Show, theme: ThemeState, tmp_path: Path, qtbot: Any) -> None:
    dialog: TemplateDialog = show(TemplateDialog(FAMILIES["chatml"].source, tmp_path, theme), 960, 620)
    qtbot.waitUntil(dialog.use_button.isEnabled, timeout=LIMIT_MS)
    assert "<|im_start|>user\nName one.<|im_end|>" in dialog.preview.toPlainText()
    assert dialog.state_words.startswith("It works.")
    dialog.edit.setPlainText("{% for message in messages %}")
    assert not dialog.use_button.isEnabled()
    qtbot.waitUntil(lambda: "cannot be used" in dialog.state_words, timeout=LIMIT_MS)
    assert dialog.preview.toPlainText() == ""
    assert not dialog.use_button.isEnabled()
    dialog.edit.setPlainText("")
    qtbot.waitUntil(lambda: dialog.state_words.startswith("Write a template"), timeout=LIMIT_MS)


def test_the_load_panel_remembers_it(services: AppServices, theme: ThemeState, bridge: Bridge, show: Show, qtbot: Any) -> None:
    install_tiny_model(services.paths.data)
    panel: LoadPanel = show(LoadPanel(services, theme, bridge, TINY_KEY), 960, 640)
    eventually(qtbot, lambda: panel.fit is not None or panel.error.error is not None)
    assert panel.form.template.source == CHAT_TEMPLATE
    choose(panel.form.template, "llama-3")
    panel.save_button.click()
    assert services.load_settings.get(TINY_KEY).chat_template == "llama-3"
    assert services.load_planner.plan(TINY_KEY).options.chat_template == "llama-3"
