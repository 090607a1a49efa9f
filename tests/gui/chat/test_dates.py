"""Dates in words."""

from __future__ import annotations

from datetime import datetime

import pytest

from localai_app.gui.chat.dates import relative_date

NOW = datetime(2026, 11, 23, 15, 0, 0)


@pytest.mark.parametrize(("then", "words"), [
    (datetime(2026, 11, 23, 14, 59, 30), "now"), (datetime(2026, 11, 23, 14, 55), "5 min ago"),
    (datetime(2026, 11, 23, 9, 5), "09:05"), (datetime(2026, 11, 22, 23, 0), "yesterday"),
    (datetime(2026, 11, 20, 8, 0), "Friday"), (datetime(2026, 11, 9, 8, 0), "9 Nov"),
    (datetime(2024, 11, 9, 8, 0), "9 Nov 2024"),
    (datetime(2026, 11, 23, 15, 0, 5), "now"),
])
def test_dates_as_people_say_them(then: datetime, words: str) -> None:
    assert relative_date(then.timestamp(), NOW.timestamp()) == words
