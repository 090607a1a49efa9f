"""The bar under the answers: every button tells the same, as much of it as there is room for."""

from __future__ import annotations

import pytest
from PySide6.QtWidgets import QApplication

from localai_app.gui.compare.vote_bar import VoteBar
from localai_app.gui.theme import ThemeState, apply_theme

NAMES = ("Qwen3 14B", "Gemma 3 12B", "Phi-4", "Qwen3 4B")


@pytest.mark.parametrize(("width", "shown"), [
    (1800, ["1  Qwen3 14B is best", "2  Gemma 3 12B is best", "3  Phi-4 is best", "4  Qwen3 4B is best"]),
    (1072, ["1  Qwen3 14B", "2  Gemma 3 12B", "3  Phi-4", "4  Qwen3 4B"]),
])
def test_all_buttons_say_as_much_as_the_others(qapp: QApplication, qtbot, width: int, shown: list[str]) -> None:
    apply_theme(qapp, "light", 100)
    bar = VoteBar(ThemeState())
    qtbot.addWidget(bar)
    bar.resize(width, 48)
    bar.show()
    bar.show_votes(NAMES, 0, can_vote=True, can_compare=True, has_next=True)
    qtbot.waitUntil(lambda: [control.text() for control in bar.best[: len(NAMES)]] == shown)
    assert [control.accessibleName() for control in bar.best[: len(NAMES)]] == [f"{name} is best" for name in NAMES]
