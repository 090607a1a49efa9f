"""The card of what was predicted and measured: empty, filled, following events, forgetting."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from localai_app.errors import STORE_BUSY, AppError
from localai_app.gui.bridge import Bridge
from localai_app.gui.itemmodels.measurement_table_model import Column, MeasurementTableModel
from localai_app.gui.performance.measured_card import SHOWN_ROWS, MeasuredCard
from localai_app.gui.theme import ThemeState
from localai_app.services.app_services import AppServices
from localai_app.services.events import ErrorHappened, Event
from tests.gui.models.models_stage import eventually, nameless
from tests.helpers.measurements import answer_of, load_of

GIB = 1024**3
Show = Callable[..., QWidget]


@pytest.fixture
def card(services: AppServices, theme: ThemeState, bridge: Bridge, show: Show) -> MeasuredCard:
    made = MeasuredCard(services, theme, bridge)
    show(made, 920, 600)
    return made


def cells(card: MeasuredCard) -> list[list[str]]:
    model = card.table.table_model
    return [[str(model.index(row, column).data()) for column in Column] for row in range(model.rowCount())]


def test_without_measurements_it_says_what_to_do(card: MeasuredCard) -> None:
    assert card.name_label.text() == "Nothing was measured yet: load a model and ask it something."
    assert card.table.isHidden()
    assert card.forget_button.isHidden()
    assert nameless(card) == []


def test_measurements_arrive_with_their_errors_and_are_forgotten(
    card: MeasuredCard, services: AppServices, qtbot,
) -> None:
    services.calibration.add(load_of(predicted_bytes=2 * GIB, measured_bytes=round(2.1 * GIB)))
    services.calibration.add(answer_of(
        depth=1840, gpus=("RTX 4090",), place="gpu_partial", kv_type="q8_0", predicted_tps=22.0, measured_tps=20.0))
    eventually(qtbot, lambda: card.table.table_model.rowCount() == 2)
    assert cells(card) == [
        ["Tiny", "Answer, 1,840 tokens in", "RTX 4090 and processor, q8_0", "22 tok/s", "20 tok/s", "+10%"],
        ["Tiny", "Load with 4,096 tokens", "Processor", "2.0 GiB", "2.1 GiB", "-4.8%"]]
    assert card.name_label.text() == "Predictions were typically off by 4.8% for memory and 10% for speed."
    spoken = card.table.table_model.index(0, 0).data(Qt.ItemDataRole.AccessibleTextRole)
    assert spoken == (
        "Tiny, RTX 4090 and processor, q8_0: Answer, 1,840 tokens in, predicted 22 tok/s, measured 20 tok/s, off by +10%")
    titles = [card.table.table_model.headerData(column, Qt.Orientation.Horizontal) for column in Column]
    assert titles == list(MeasurementTableModel.header)
    assert nameless(card) == []
    card.forget_button.click()
    eventually(qtbot, lambda: card.table.isHidden())
    assert services.store.measurements.list() == ()
    assert card.forget_button.isHidden()


def test_only_the_newest_are_listed_and_a_narrow_card_leaves_the_place_out(
    card: MeasuredCard, services: AppServices, qtbot,
) -> None:
    for number in range(SHOWN_ROWS + 3):
        services.calibration.add(answer_of(depth=number, predicted_tps=None, measured_tps=20.0))
    eventually(qtbot, lambda: card.table.table_model.rowCount() == SHOWN_ROWS)
    assert cells(card)[0][Column.WHAT] == f"Answer, {SHOWN_ROWS + 2} tokens in"
    assert cells(card)[0][Column.PREDICTED:] == ["unknown", "20 tok/s", ""]
    assert not card.table.isColumnHidden(Column.WHERE)
    card.table.resize(400, card.table.height())
    eventually(qtbot, lambda: card.table.isColumnHidden(Column.WHERE))


def test_the_figures_are_in_sight_beside_the_longest_names(card: MeasuredCard, services: AppServices, qtbot) -> None:
    services.calibration.add(answer_of(
        model_name="a-model-with-a-name-that-goes-on-and-on" * 3, gpus=("NVIDIA GeForce RTX 4070", "NVIDIA GeForce RTX 3090"),
        place="gpu_partial", kv_type="q8_0", predicted_tps=22.0, measured_tps=20.0))
    eventually(qtbot, lambda: card.table.table_model.rowCount() == 1)
    header = card.table.horizontalHeader()
    eventually(qtbot, lambda: header.length() <= card.table.viewport().width())
    assert min(header.sectionSize(column) for column in (Column.MODEL, Column.WHERE)) > 100


def test_a_store_that_is_busy_is_told(
    card: MeasuredCard, services: AppServices, qtbot, monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail() -> None:
        raise AppError(STORE_BUSY)

    told: list[Event] = []
    services.calibration.add(answer_of(measured_tps=20.0))
    eventually(qtbot, lambda: not card.forget_button.isHidden())
    services.events.subscribe(told.append)
    monkeypatch.setattr(services.store.measurements, "clear", fail)
    card.forget_button.click()
    eventually(qtbot, lambda: any(isinstance(event, ErrorHappened) for event in told))
    eventually(qtbot, lambda: card.forget_button.isEnabled())
    assert card.table.table_model.rowCount() == 1
