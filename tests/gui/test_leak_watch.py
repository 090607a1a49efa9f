"""The Qt guard of tests/conftest.py does notice what it is there for."""

from __future__ import annotations

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from tests.helpers.leaks import QtWatch


def test_a_window_left_behind_is_noticed(qtbot: QtBot) -> None:
    watch = QtWatch(patience_s=0.05)
    window = QWidget()
    window.setObjectName("forgotten")
    assert watch.left_behind() == ["window QWidget 'forgotten'"]
    window.deleteLater()
    assert watch.left_behind() == []


def test_a_running_timer_left_behind_is_noticed(qtbot: QtBot) -> None:
    watch = QtWatch(patience_s=0.05)
    timer = QTimer()
    timer.start(1000)
    assert watch.left_behind() == ["active timer of NoneType (1000 ms)"]
    timer.stop()
    assert watch.left_behind() == []
