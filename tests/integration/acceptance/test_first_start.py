"""A fresh profile without a network: the window starts, shows the computer and suggests models that fit."""

from __future__ import annotations

from pathlib import Path

from localai_app.fit.result import Verdict
from localai_app.gui.models.suggestion_card import SuggestionCard
from localai_app.gui.widgets.error_banner import ErrorBanner
from tests.helpers.real_window import open_window, wait_for


def test_a_fresh_profile_offline(tmp_path: Path, offline: None, qapp, qtbot) -> None:
    with open_window(tmp_path / "fresh") as run:
        wait_for(qtbot, lambda: len(run.visible(SuggestionCard)) >= 3 and "Download" in run.texts(), 40)
        assert run.window.page_name == "first_start"
        report = run.services.hardware.report
        assert report is not None
        suggestions = run.services.discovery.suggestions
        assert suggestions is not None
        assert len(suggestions.cards) >= 3
        assert all(card.fit.verdict in (Verdict.GPU, Verdict.GPU_PARTIAL, Verdict.CPU) for card in suggestions.cards)
        assert len({card.model.id for card in suggestions.cards}) >= 2
        texts = run.texts()
        assert f"{report.memory.total_bytes / 1024**3:.0f} GiB" in texts.replace("\u00a0", " ")
        for card in suggestions.cards:
            assert card.model.name in texts
        assert run.dialogs() == []
        assert run.window.toasts.toasts == ()
        assert run.visible(ErrorBanner) == []
        assert list((tmp_path / "fresh").glob("models/*")) == []
