"""What each variant of a model loses."""

from __future__ import annotations

from enum import IntEnum

from localai_app.gui.itemmodels.record_table_model import RecordTableModel
from localai_app.services.compare.loss_words import LossLine


class Column(IntEnum):
    """The columns in order."""

    VARIANT = 0
    WORDS = 1
    SIZE = 2
    KLD = 3
    KLD_P99 = 4
    SAME_TOP = 5
    PERPLEXITY = 6
    SPEED = 7


class LossTableModel(RecordTableModel[LossLine]):
    """The reference, then each variant."""

    header = ("Variant", "In words", "Size", "KL divergence", "99% below", "Same top token", "Perplexity", "Speed")
    first_figure = Column.SIZE

    def text(self, record: LossLine, column: int) -> str:
        """What stands in a cell."""
        return (
            record.variant, record.words, record.size, record.kld, record.kld_p99, record.same_top, record.perplexity,
            record.speed)[column]

    def spoken(self, record: LossLine) -> str:
        """A whole row in words."""
        parts = [f"{record.variant}: {record.words}", record.size]
        if record.kld_p99:
            parts += [
                f"mean KL divergence {record.kld}", f"99% of the tokens below {record.kld_p99}",
                f"the same token most likely in {record.same_top}"]
        parts += [f"perplexity {record.perplexity}", record.speed]
        return ", ".join(part for part in parts if part)
