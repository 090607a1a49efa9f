"""From a file of prompts to a table of right and wrong answers, in the real window: acceptance 49 within one sitting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtWidgets import QWidget

from localai_app.engine.launch import worker_command
from localai_app.gui.compare.matrix_view import MatrixView
from localai_app.gui.compare.prompt_sets_dialog import PromptSetsDialog
from localai_app.gui.itemmodels.result_table_model import FIRST_CONTESTANT
from tests.helpers.real_window import RealWindow, open_window, wait_for
from tests.helpers.services_fixture import install_tiny_model

REPOS = ("tester/Tiny-Chat-GGUF", "tester/Small-Talk-GGUF")
REPEATS_THE_PROMPT = worker_command("echo", ("--text", "prompt", "--tokens-per-s", "400"))
PROMPTS = """prompt,tag,contains,number
Say zebra.,words,zebra,
Say zebra as well.,words,giraffe,
What comes after 41 is 42,sums,,42
Anything,,,
"""


def choose_imported(run: RealWindow, page: Any, file: Path, qtbot: object) -> None:
    """Import a file in the dialog and use its prompts."""
    page.sets_button.click()
    dialog = page.findChild(PromptSetsDialog)
    wait_for(qtbot, lambda: dialog.list.count() == 5)
    dialog.sources.import_file(file)
    wait_for(qtbot, lambda: dialog.list.count() == 6)
    assert dialog.view.prompt_set.name == "animals"
    dialog.use_button.click()
    wait_for(qtbot, lambda: "animals" in run.texts())


def words_of(view: MatrixView) -> list[list[str]]:
    """What became of every answer, without its speed."""
    model = view.model
    return [[str(model.index(row, column).data()).partition(" ")[0] for column in range(FIRST_CONTESTANT, model.columnCount())]
            for row in range(model.rowCount())]


def test_a_file_of_prompts_becomes_a_table_of_results(tmp_path: Path, offline: None, qapp: QWidget, qtbot: object) -> None:
    for repo in REPOS:
        install_tiny_model(tmp_path, repo, f"{repo.rpartition('/')[2].removesuffix('-GGUF').lower()}-F32.gguf")
    file = tmp_path / "animals.csv"
    file.write_text(PROMPTS)
    with open_window(tmp_path, worker=REPEATS_THE_PROMPT, is_started=False) as run:
        page: Any = run.window.show_page("compare")
        wait_for(qtbot, lambda: len(page.answers.session.draft.contestants) == 2)
        choose_imported(run, page, file, qtbot)
        wait_for(qtbot, run.button("Run").isEnabled)
        run.button("Run").click()
        page.show_tab("Results")
        view: MatrixView = page.view("Results")
        wait_for(qtbot, lambda: "8 of 8 answers" in view.progress.words and "done" in view.progress.words, 60)
        wait_for(qtbot, lambda: words_of(view) == [["right"] * 2, ["wrong"] * 2, ["right"] * 2, ["answered"] * 2])
        assert [view.score_model.index(row, 1).data() for row in range(2)] == ["2 of 3"] * 2
        run.button("sums").click()
        assert [view.score_model.index(row, 1).data() for row in range(2)] == ["1 of 1"] * 2
        view.table.clicked.emit(view.model.index(0, FIRST_CONTESTANT))
        assert page.current_tab == "Answers"
        wait_for(qtbot, lambda: "What comes after 41 is 42" in run.texts())
