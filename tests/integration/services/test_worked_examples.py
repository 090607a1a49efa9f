"""The tables of docs/what-fits-where.md are what the program says now."""

from __future__ import annotations

from localai_app.services.what_if import PRESETS
from scripts.make_worked_examples import BEGIN, END, MODEL_IDS, TARGET, with_tables, worked_examples


def test_the_worked_examples_are_up_to_date() -> None:
    document = TARGET.read_text(encoding="utf-8")
    assert document.count(BEGIN) == document.count(END) == 1
    tables = worked_examples()
    assert tables.count("| DeepSeek-R1-0528 |") == len(PRESETS)
    assert tables.count("catalog") >= len(PRESETS) * len(MODEL_IDS)
    assert with_tables(document, tables) == document, "run `python -m scripts.make_worked_examples`"


def test_published_answer_speeds_lie_in_the_ranges_that_are_said() -> None:
    rows = [line for line in TARGET.read_text(encoding="utf-8").splitlines() if "| answer |" in line]
    assert len(rows) >= 8
    assert [row for row in rows if not row.endswith("| within |")] == []
