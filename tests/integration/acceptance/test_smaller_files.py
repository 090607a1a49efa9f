"""What does the smaller file lose? In the real window: SmolLM2 is re-quantized from Installed and measured against itself."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PySide6.QtWidgets import QWidget

from localai_app.compare.loss import TextSource
from localai_app.gui.compare.loss_view import LossView
from localai_app.gui.compare.requantize_dialog import RequantizeDialog
from localai_app.gui.itemmodels.loss_table_model import Column
from tests.helpers.real_models import smollm2_path
from tests.helpers.real_window import RealWindow, open_window, text_of, wait_for

pytestmark = pytest.mark.model

REPO = "tester/SmolLM2-135M-Instruct-GGUF"
TEXT = (
    "The lighthouse keeper climbed the stairs every evening and lit the lamp before the sun went down. From the gallery he "
    "could see the fishing boats come home, one after the other, and he counted them as he had done for thirty years. ") * 14


def install_smollm2(data_dir: Path) -> None:
    path = data_dir / "models" / REPO / smollm2_path().name
    path.parent.mkdir(parents=True)
    shutil.copy(smollm2_path(), path)


def choose_from_menu(run: RealWindow, qtbot: object, words: str) -> None:
    """Of the first row of the installed models."""
    run.window.page("models")
    page = run.window.show_page("models")
    page.show_tab("Installed")  # type: ignore[attr-defined]
    wait_for(qtbot, lambda: len(page.installed.rows) > 0)  # type: ignore[attr-defined]
    menu = page.installed.rows[0].build_menu()  # type: ignore[attr-defined]
    next(action for action in menu.actions() if action.text() == words).trigger()
    menu.deleteLater()


def loss_view(run: RealWindow) -> LossView:
    view = run.window.page("compare").view("Smaller files")  # type: ignore[attr-defined]
    assert isinstance(view, LossView)
    return view


def test_made_smaller_measured_and_recommended(tmp_path: Path, offline: None, qapp, qtbot) -> None:
    pytest.importorskip("llama_cpp")
    install_smollm2(tmp_path)
    with open_window(tmp_path, is_started=False) as run:
        choose_from_menu(run, qtbot, "Re-quantize…")
        wait_for(qtbot, lambda: len(run.dialogs()) == 1)
        (dialog,) = run.dialogs()
        assert isinstance(dialog, RequantizeDialog)
        wait_for(qtbot, lambda: dialog.table.model().rowCount() > 0)
        dialog.choose("Q4_0")
        wait_for(qtbot, lambda: dialog.make_button.isEnabled())
        planned = next(line.file for line in dialog.table.model().lines if line.file.label == "Q4_0")
        assert planned.fallback.startswith("The table of tokens, 21% of the weights, is stored as Q8_0")
        dialog.make_button.click()
        view = loss_view(run)
        wait_for(qtbot, lambda: view.made.text().startswith("Q4_0 is made:"), 180)
        (made,) = [model for model in run.services.library.models() if model.label == "Q4_0"]
        assert made.size_bytes == made.paths[0].stat().st_size
        assert abs(made.size_bytes - planned.size_bytes) < 4096
        assert "1 tensor is stored as Q8_0" in view.made.text()

        wait_for(qtbot, lambda: made.key in view.setup.chips.chosen)
        assert view.setup.reference_key == f"{REPO}:Q4_1"
        view.setup.text_field.add_text(TextSource(name="The lighthouse", text=TEXT))
        wait_for(qtbot, lambda: view.start_button.isEnabled())
        view.start_button.click()
        wait_for(qtbot, lambda: not view.progress.isHidden())
        wait_for(qtbot, lambda: not run.services.compare.losses.state.is_running, 180)
        wait_for(qtbot, lambda: view.results.shown is not None)
        (result,) = view.results.shown.results
        assert result.kld.value > 0.001
        assert result.text_name == "The lighthouse"
        model = view.results.table.model()
        assert [str(model.index(row, Column.VARIANT).data()) for row in range(2)] == ["Q4_1", "Q4_0"]
        assert "Q4_1, Q4_0: the table of tokens, 21% of the weights" in view.results.notes.text()
        seen = "\n".join(text_of(widget) for widget in view.findChildren(QWidget))
        assert view.results.shown.advice in seen
        assert [point.name for point in view.results.charts.by_size.points] == ["Q4_1", "Q4_0"]


def test_from_installed_to_what_it_loses(tmp_path: Path, offline: None, qapp, qtbot) -> None:
    install_smollm2(tmp_path)
    with open_window(tmp_path, is_started=False) as run:
        choose_from_menu(run, qtbot, "What does it lose?")
        view = loss_view(run)
        assert run.window.page_name == "compare"
        wait_for(qtbot, lambda: "Only Q4_1 of it is installed" in view.setup.alone.text())
