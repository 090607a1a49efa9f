"""What is to be said of the types that a file's weights are stored in, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from localai_app.gguf.stored_types import Reason, StoredGroup, StoredTypes
from localai_app.units import format_count

_LEAST_SHARE = 0.01
"""Of weights that are left as they were: below that, only routers and convolutions are."""
_SHOWN_TYPES = 4


def shares_words(stored: StoredTypes) -> str:
    """ "Stored as Q4_K (62% of the weights), Q6_K (30%) and Q8_0 (8%)."; empty where there is no matrix."""
    named = [f"{name} ({_percent(share)})" for name, share in stored.shares[:_SHOWN_TYPES]]
    if not named:
        return ""
    named[0] = named[0].replace(")", " of the weights)")
    if (n_more := len(stored.shares) - _SHOWN_TYPES) > 0:
        named.append(f"{n_more} {'other' if n_more == 1 else 'others'}")
    return f"Stored as {_listed(named, 'and')}."


def fallback_words(stored: StoredTypes) -> str:
    """The sentence about matrices that another type took over; empty where each has the type that its label calls for."""
    groups = stored.of(Reason.FALLBACK)
    if not groups:
        return ""
    rows = sorted({row for group in groups for row in group.rows})
    block = 256 if any(row % 32 == 0 for row in rows) else 32
    is_one = sum(group.n_tensors for group in groups) == 1
    return (
        f"{_how_many(groups, stored)} stored as {_types(groups)}, because {'its' if is_one else 'their'} rows of "
        f"{_listed([format_count(row) for row in rows[:3]], 'or')} values do not divide by {block}: "
        "the file is larger and better than its label says.")


def other_words(stored: StoredTypes) -> tuple[str, ...]:
    """Sentences about what else differs from the label: a mixture on purpose, weights left as they were."""
    if not stored.label or not stored.groups:
        return ()
    words = []
    if kept := [*stored.of(Reason.MIXTURE), *stored.of(Reason.TABLE)]:
        words.append(f"{_how_many(kept, stored)} stored as {_types(kept)}, as usual for {stored.label}.")
    if strange := stored.of(Reason.OTHER):
        words.append(
            f"{_how_many(strange, stored)} stored as {_types(strange)}, which {stored.label} does not call for: "
            "its publisher chose so.")
    left = stored.of(Reason.UNQUANTIZED)
    if _weights(left) >= _LEAST_SHARE * stored.n_weights:
        words.append(f"{_how_many(left, stored)} left in {_types(left)}.")
    return tuple(words)


def _how_many(groups: Sequence[StoredGroup], stored: StoredTypes) -> str:
    """ "60 of 211 matrices, 35% of the weights, are"."""
    n = sum(group.n_tensors for group in groups)
    share = _percent(_weights(groups) / stored.n_weights)
    if n == 1:
        which = "The table of tokens" if groups[0].is_table else f"1 of {format_count(stored.n_tensors)} matrices"
        return f"{which}, {share} of the weights, is"
    return f"{format_count(n)} of {format_count(stored.n_tensors)} matrices, {share} of the weights, are"


def _weights(groups: Sequence[StoredGroup]) -> int:
    return sum(group.n_weights for group in groups)


def _types(groups: Sequence[StoredGroup]) -> str:
    return _listed(list(dict.fromkeys(group.type_name for group in groups)), "or")


def _listed(words: Sequence[str], link: str) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {link} {words[-1]}"


def _percent(share: float) -> str:
    """Whole percent; what is there is never told as 0, nor what is not all as 100."""
    if 0 < share < 0.01:
        return "under 1%"
    return f"{round(100 * min(0.99, share)) if share < 1 else 100}%"
