"""When tokens are drafted: only while measuring says that it is faster than one token after the other.

A round evaluates the pending token together with drafted ones and costs more than a single token; it pays by the drafted
tokens that turn out right. How often they do depends on the text, what a wider batch costs depends on the computer: so both are
measured while answering, and the rule looks at seconds alone.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterable
from enum import Enum, auto

LEAST_GAIN = 1.05
"""Time without drafts by time with them from which drafting goes on; the rest is within what a busy computer makes of it."""
PLAIN_TOKENS = 6
"""Single tokens that are timed before the first round: without them there is nothing to compare with."""
TRIAL_ROUNDS = 6
"""Rounds after which a trial is over."""
WINDOW_ROUNDS = 24
"""Rounds that count while drafting is on: the text may stop repeating itself."""
FIRST_REST_TOKENS = 64
REMEMBERED_REST_TOKENS = 512
"""Before the first trial where drafting did not pay the last time, and what it gains depends less on the text."""
LONGEST_REST_TOKENS = 2048
"""Single tokens between two trials; twice as many after each that failed."""
ROUNDS_BETWEEN_CHECKS = 48
"""Without single tokens in between it would be forgotten what one costs; after so many rounds, some are timed again."""
CHECK_TOKENS = 2
LEAST_DRAFT = 2
_REMEMBERED_PLAIN = 16


class _Phase(Enum):
    TIMING = auto()
    """Single tokens are being timed."""
    TRIAL = auto()
    ON = auto()
    OFF = auto()


class SpeculationRule:
    """Says before each token whether to draft, and how many tokens.

    `remembered_gain`: measured earlier for this model on this computer, 0.0 where nothing was. What did not pay then is tried
    again only after `remembered_rest_tokens`.
    """

    def __init__(
        self, longest_draft: int, remembered_gain: float = 0.0, remembered_rest_tokens: int = REMEMBERED_REST_TOKENS,
    ) -> None:
        self._longest = max(1, longest_draft)
        self._length = min(self._longest, LEAST_DRAFT)
        self._plain_s: deque[float] = deque(maxlen=_REMEMBERED_PLAIN)
        self._rounds: deque[tuple[int, float]] = deque(maxlen=WINDOW_ROUNDS)
        self._phase = _Phase.TIMING
        self._wanted_plain = PLAIN_TOKENS
        self._after_timing = _Phase.ON if remembered_gain >= LEAST_GAIN else _Phase.TRIAL
        self._rest_tokens = FIRST_REST_TOKENS
        if 0.0 < remembered_gain < LEAST_GAIN:
            self._rest_tokens = remembered_rest_tokens
            self._begin_rest()
        self._rounds_since_check = 0
        self._round_count = 0
        self._saved_s = 0.0
        self._spent_s = 0.0

    @property
    def may_draft(self) -> bool:
        """Whether the next step may be a round."""
        return self._phase in (_Phase.TRIAL, _Phase.ON)

    @property
    def is_on(self) -> bool:
        """Whether a measurement says that drafting is faster here."""
        return self._phase is _Phase.ON

    @property
    def draft_length(self) -> int:
        """How many tokens to draft at most in the next round."""
        return self._length

    @property
    def gain(self) -> float:
        """Over all rounds so far: seconds that their tokens would have taken one by one, by those that they took.

        0.0 where there were fewer of them than a trial has.
        """
        return self._saved_s / self._spent_s if self._round_count >= TRIAL_ROUNDS and self._spent_s > 0 else 0.0

    def note_plain(self, seconds: float) -> None:
        """A token was made alone in so many seconds, the search for a draft included."""
        self._plain_s.append(seconds)
        if self._wanted_plain > 0:
            self._wanted_plain -= 1
            if self._wanted_plain > 0:
                return
            if self._phase is _Phase.TIMING:
                self._phase = self._after_timing
            elif self._phase is _Phase.OFF:
                self._begin_trial()

    def note_round(self, drafted: int, accepted: int, seconds: float) -> None:
        """A round of `drafted` tokens gave `accepted` of them and one more, in so many seconds, drafting included."""
        self._rounds.append((1 + accepted, seconds))
        self._saved_s += (1 + accepted) * self._plain_token_s
        self._spent_s += seconds
        self._adapt_length(drafted, accepted)
        self._round_count += 1
        self._rounds_since_check += 1
        is_judged = len(self._rounds) >= (TRIAL_ROUNDS if self._phase is _Phase.TRIAL else WINDOW_ROUNDS)
        if is_judged:
            self._judge()
        if self._phase is _Phase.ON and self._rounds_since_check >= ROUNDS_BETWEEN_CHECKS:
            self._rounds_since_check = 0
            self._phase, self._after_timing, self._wanted_plain = _Phase.TIMING, _Phase.ON, CHECK_TOKENS

    def forbid(self) -> None:
        """No more drafts in this answer."""
        self._phase, self._wanted_plain = _Phase.OFF, 0

    def _judge(self) -> None:
        if gain_of(self._rounds, self._plain_token_s) >= LEAST_GAIN:
            self._phase = _Phase.ON
            self._rest_tokens = FIRST_REST_TOKENS
        else:
            self._begin_rest()

    def _begin_rest(self) -> None:
        self._phase, self._wanted_plain = _Phase.OFF, self._rest_tokens
        self._rest_tokens = min(LONGEST_REST_TOKENS, 2 * self._rest_tokens)

    def _begin_trial(self) -> None:
        self._rounds.clear()
        self._phase = _Phase.TRIAL

    @property
    def _plain_token_s(self) -> float:
        return statistics.median(self._plain_s) if self._plain_s else 0.0

    def _adapt_length(self, drafted: int, accepted: int) -> None:
        """Longer after a draft that was right to its end, shorter after one that mostly was not."""
        if accepted >= drafted >= self._length:
            self._length = min(self._longest, 2 * self._length)
        elif 2 * accepted < drafted:
            self._length = max(min(LEAST_DRAFT, self._longest), self._length // 2)


def gain_of(rounds: Iterable[tuple[int, float]], plain_token_s: float) -> float:
    """Seconds without drafts by seconds with them, of rounds of (tokens made, seconds); 0.0 for none."""
    made, spent_s = 0, 0.0
    for tokens, seconds in rounds:
        made, spent_s = made + tokens, spent_s + seconds
    return made * plain_token_s / spent_s if spent_s > 0 else 0.0
