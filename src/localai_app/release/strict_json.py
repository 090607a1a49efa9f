"""JSON that has one meaning only: what two parsers could read differently is refused before anything is believed."""

from __future__ import annotations

import json
from typing import Any, NoReturn, TypeVar

import msgspec

MOST_EXACT_INTEGER = 2**53 - 1
"""The largest integer that every JSON parser reads exactly (RFC 8259, section 6)."""
_MOST_DIGITS = 16

T = TypeVar("T")


def decode_strictly(data: bytes, kind: type[T], most_bytes: int) -> T:
    """The value of a JSON text as `kind`; fields that `kind` does not have are left out.

    ValueError, with the reason as a clause, for: more than `most_bytes`, text that is not UTF-8 or begins with a mark, a name
    that stands twice in an object, a number that is not whole or beyond 2^53, NaN, half of a surrogate pair, endless nesting,
    and for a value that does not have the form of `kind`.
    """
    if len(data) > most_bytes:
        raise ValueError(f"it is longer than {most_bytes} bytes")
    try:
        value = json.loads(
            data.decode("utf-8"), object_pairs_hook=_once_each, parse_int=_exact, parse_float=_not_whole,
            parse_constant=_not_whole)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeError:
        raise ValueError("its text is not valid UTF-8") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON ({error.msg.lower()})") from None
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, OverflowError, RecursionError) as error:
        raise ValueError(f"a field is missing or wrong ({str(error)[:200]})") from None


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice in it")
    return found


def _exact(digits: str) -> int:
    if len(digits) > _MOST_DIGITS + 1 or abs(int(digits)) > MOST_EXACT_INTEGER:
        raise ValueError("a number in it is too large")
    return int(digits)


def _not_whole(_text: str) -> NoReturn:
    raise ValueError("a number in it is not whole")
