"""Who stands behind an answer: told after the vote where a comparison is blind. Whoever shows or exports a name asks here."""

from __future__ import annotations

import hashlib
import re
from collections import Counter

from localai_app.compare.comparison import Comparison
from localai_app.compare.names import contestant_names

HIDDEN = "hidden"
"""Stands in place of a name inside a sentence."""


class BlindNames:
    """The names of one comparison as it stands. Places are those of `ComparisonSpec.contestants`.

    The answers to each prompt in each repeat are revealed by a person's vote on them, by nothing else: a judge model's opinion
    would tell the person what to vote. Only where all are done and fewer than two are answers, nobody can vote and nothing is
    hidden, so that it is told why the others failed. Columns are shuffled anew for each prompt and repeat, so that one vote
    does not tell which column is whose in the next; the order lasts, so that columns stay where they are after the vote and
    when a comparison is reopened.
    An answer's own text is never changed, so a model that introduces itself is known by it.
    """

    def __init__(self, comparison: Comparison) -> None:
        self._comparison = comparison
        self._names = contestant_names(comparison.spec.contestants)
        self._told = {(vote.prompt, vote.repeat) for vote in comparison.votes if not vote.judge} | _without_choice(comparison)

    @property
    def is_blind(self) -> bool:
        """Whether anything is or was hidden."""
        return self._comparison.spec.is_blind

    @property
    def all_revealed(self) -> bool:
        """Whether every name may stand anywhere: in titles, histories, tables and exports, with the models' hashes."""
        spec = self._comparison.spec
        return not spec.is_blind or all(
            (prompt, repeat) in self._told for prompt in range(len(spec.prompts)) for repeat in range(spec.repeats))

    def is_revealed(self, prompt: int, repeat: int) -> bool:
        """Whether the names behind the answers to one prompt in one repeat may be shown beside them."""
        return not self._comparison.spec.is_blind or (prompt, repeat) in self._told

    def shown_order(self, prompt: int, repeat: int) -> tuple[int, ...]:
        """Places of the contestants in the order of their columns, from left to right."""
        places = range(len(self._names))
        if not self._comparison.spec.is_blind:
            return tuple(places)
        start = f"{self._comparison.spec.seed}/{self._comparison.id}/{prompt}/{repeat}"
        return tuple(sorted(places, key=lambda place: hashlib.sha256(f"{start}/{place}".encode()).digest()))

    def name(self, place: int, prompt: int, repeat: int) -> str:
        """What an answer's author is called beside it: "Answer A" (by its column) until the vote, then the real name."""
        return self._names[place] if self.is_revealed(prompt, repeat) else alias(self.shown_order(prompt, repeat).index(place))

    def listed_name(self, place: int) -> str | None:
        """The real name for what stands for the whole comparison; None while any answers are hidden."""
        return self._names[place] if self.all_revealed else None

    def lineup(self) -> str:
        """All contestants, for headers, titles and histories: their names, or how many there are."""
        if self.all_revealed:
            return f"{', '.join(self._names[:-1])} and {self._names[-1]}" if len(self._names) > 1 else "".join(self._names)
        return f"{len(self._names)} contestants, hidden until the vote"

    def shows_numbers(self, prompt: int, repeat: int) -> bool:
        """Whether speeds, tokens and seconds of these answers may be shown."""
        return not self._comparison.spec.hides_speed or self.is_revealed(prompt, repeat)

    def shows_load(self, prompt: int, repeat: int) -> bool:
        """Whether label, settings, load time and peak memory may be shown beside an answer: being the same with every prompt,
        they would tell a contestant.
        """
        return self.is_revealed(prompt, repeat)

    def without_names(self, text: str, prompt: int | None = None, repeat: int | None = None) -> str:
        """A sentence (an error, the reason of a schedule) without anything that tells a contestant, until it is revealed.

        Without `prompt` and `repeat` it stands for the whole comparison.
        """
        is_known = self.all_revealed if prompt is None or repeat is None else self.is_revealed(prompt, repeat)
        if is_known:
            return text
        for secret in sorted(self._secrets(), key=len, reverse=True):
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", HIDDEN, text, flags=re.IGNORECASE)
        return text

    def _secrets(self) -> set[str]:
        """Every text by which a contestant could be known."""
        found = {*self._names, *(run.description for run in self._comparison.runs)}
        for contestant in self._comparison.spec.contestants:
            repo = contestant.model_key.rpartition(":")[0]
            found |= {contestant.name, contestant.label, contestant.model_key, repo, repo.rpartition("/")[2]}
            found |= {contestant.model_key.replace("\\", "/").rpartition("/")[2]}
        for run in self._comparison.runs:
            found |= set(run.sha256)
        return {secret for secret in found if len(secret.strip()) > 1}


def _without_choice(comparison: Comparison) -> set[tuple[int, int]]:
    """Prompts and repeats in which every contestant is done and fewer than two have an answer to judge."""
    done = Counter((answer.prompt, answer.repeat) for answer in comparison.answers)
    answered = Counter((answer.prompt, answer.repeat) for answer in comparison.answers if not answer.error)
    return {key for key, count in done.items() if count == len(comparison.spec.contestants) and answered[key] < 2}


def alias(column: int) -> str:
    """What the answer in a column is called while it is hidden."""
    return f"Answer {chr(ord('A') + column)}"
