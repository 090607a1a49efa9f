"""The prompts of a set."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from localai_app.compare.checking import check_words
from localai_app.compare.prompts import Prompt
from localai_app.gui.itemmodels.record_table_model import RecordTableModel


class Column(IntEnum):
    """The columns in order."""

    NUMBER = 0
    TEXT = 1
    TAG = 2
    CHECKS = 3


class PromptTableModel(RecordTableModel[tuple[int, Prompt]]):
    """One row for each prompt, with its number."""

    header = ("", "Prompt", "Tag", "Checks")
    first_figure = len(Column)

    def show_prompts(self, prompts: Sequence[Prompt]) -> None:
        """List these."""
        self.show_records(tuple(enumerate(prompts, 1)))

    def change_prompt(self, row: int, prompt: Prompt) -> None:
        """Show another prompt in a row."""
        records = list(self._records)
        records[row] = (row + 1, prompt)
        self._records = tuple(records)
        self.dataChanged.emit(self.index(row, 0), self.index(row, len(Column) - 1))

    def text(self, record: tuple[int, Prompt], column: int) -> str:
        """What stands in a cell."""
        number, prompt = record
        count = len(prompt.checks)
        checks = "none" if not count else "1 check" if count == 1 else f"{count} checks"
        return (str(number), " ".join(prompt.text.split()), prompt.tag, checks)[column]

    def spoken(self, record: tuple[int, Prompt]) -> str:
        """A whole prompt with its checks."""
        number, prompt = record
        checks = "".join(f"\nRight if the answer {check_words(check)}." for check in prompt.checks)
        return f"{number}. {prompt.text[:1000]}{checks}"
