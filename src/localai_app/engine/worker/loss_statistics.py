"""Compares two models' distributions token by token, as llama.cpp's `tools/perplexity --kl-divergence` defines it.

Logits are turned into log-probabilities in 64 bits, one row at a time, so that memory does not grow with the number of rows.
The tool itself keeps the reference's log-probabilities with 16 bits and leaves out tokens below e^-16, which is the difference.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from localai_app.engine.scoring import LossSums

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Row = npt.NDArray[np.float32]
    Wide = npt.NDArray[np.float64]


class NotNumbersError(Exception):
    """A model computed logits of which no distribution can be made."""

    def __init__(self, *, is_reference: bool) -> None:
        self.is_reference = is_reference
        super().__init__("logits are not numbers")


class LossStatistics:
    """Adds up what single tokens say. `n_vocab`: logits of a row."""

    def __init__(self, n_vocab: int) -> None:
        import numpy

        self._np: Any = numpy
        self._base: Wide = numpy.empty(n_vocab)
        self._log: Wide = numpy.empty(n_vocab)
        self._p: Wide = numpy.empty(n_vocab)
        self._klds: list[float] = []
        self._nll: list[tuple[float, float]] = []
        self._same_top = 0

    def add(self, reference: Row, variant: Row, token: int) -> None:
        """One place of the text: the logits of both models, and the token that follows. NotNumbersError."""
        np = self._np
        self._same_top += int(reference.argmax() == variant.argmax())
        self._log_softmax(reference, self._base, is_reference=True)
        # Before the array with the reference's probabilities is filled: it is scratch memory here.
        self._log_softmax(variant, self._log, is_reference=False)
        self._nll.append((-float(self._log[token]), -float(self._base[token])))
        np.exp(self._base, out=self._p)
        with np.errstate(invalid="ignore"):
            np.subtract(self._base, self._log, out=self._log)
            np.multiply(self._p, self._log, out=self._log)
        kld = float(self._log.sum())
        if math.isnan(kld):
            # A token that both exclude (logit -inf) adds nothing.
            kld = float(self._log[self._p > 0].sum())
        if not math.isfinite(kld + self._nll[-1][0] + self._nll[-1][1]):
            raise NotNumbersError(is_reference=not math.isfinite(self._nll[-1][1]))
        self._klds.append(kld)

    def sums(self) -> LossSums:
        """Over all places so far, of which there must be one."""
        np = self._np
        klds, (nll, base) = np.array(self._klds), np.array(self._nll).T
        p_diff = np.exp(-nll) - np.exp(-base)
        median, p90, p99, p999 = np.quantile(klds, (0.5, 0.9, 0.99, 0.999))
        return LossSums(
            count=len(klds), nll=float(nll.sum()), nll_squared=float((nll**2).sum()), base_nll=float(base.sum()),
            base_nll_squared=float((base**2).sum()), nll_base_nll=float((nll * base).sum()), kld=float(klds.sum()),
            kld_squared=float((klds**2).sum()), p_diff=float(p_diff.sum()), p_diff_squared=float((p_diff**2).sum()),
            p_diff_fourth=float((p_diff**4).sum()), same_top=self._same_top, kld_median=float(median), kld_p90=float(p90),
            kld_p99=float(p99), kld_p999=float(p999), kld_max=float(klds.max()))

    def _log_softmax(self, logits: Row, out: Wide, *, is_reference: bool) -> None:
        np = self._np
        top = float(logits.max())
        if not math.isfinite(top):
            raise NotNumbersError(is_reference=is_reference)
        np.subtract(logits, top, out=out, dtype=np.float64)
        np.exp(out, out=self._p)
        np.subtract(out, math.log(float(self._p.sum())), out=out)
