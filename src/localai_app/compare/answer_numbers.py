"""The last number of an answer, as people and models write numbers."""

from __future__ import annotations

import math
import unicodedata
from collections import deque
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import regex

_SEARCH_S = 2.0
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_VULGAR = {code: f" {unicodedata.normalize('NFKC', chr(code)).replace('⁄', '/')}"
           for code in (0xBC, 0xBD, 0xBE, *range(0x2150, 0x215F))}
_LATEX = ((r"\,", "\u202f"), (r"\!", ""), ("{,}", ","), (r"\%", "%"), (r"\$", "$"), (r"\times", "×"), (r"\cdot", "×"))

_BOXED = r"\\boxed\{((?:[^{}]|\{[^{}]*+\})*+)"
_DIGITS = r"\d+(?:[.,'’_]\d+|[ \u00a0\u2009\u202f]\d{3}(?!\d))*+"
_PATTERN = rf"""
(?<![\w.])                                     # not within a word (CO2) or a version
(?P<sign>(?<![\d)\]]\s?)[-−–+])?(?:[$€£¥]\s?)?
(?:
    \\[dt]?frac\s?\{{\s?(?P<latex_top>\d+)\s?\}}\s?\{{\s?(?P<latex_bottom>\d+)\s?\}}
  | (?:(?P<whole>\d+)\s)?(?<!/)(?P<top>\d+)\s?/\s?(?P<bottom>\d+)(?![\d/]|\.\d)
  | (?P<digits>{_DIGITS}|\.\d+)
    (?:[eE](?P<exponent>[-−+]?\d+)|\s?[×x*·]\s?10(?:\^\{{?\s?(?P<power>[-−+]?\d+)\s?\}}?|(?P<raised>[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺]+)))?
)
(?P<percent>\s?%)?
"""


def last_number(text: str) -> tuple[str, tuple[float, ...]] | None:
    r"""The last number of a text as it is written there, with all that it may mean; None where there is none.

    Known are signs (also "−"), groups of thousands by comma, point, apostrophe, underscore or space, decimal point and comma,
    "2e3", "2×10³", "3/4", "1 3/4", "½", `\frac{3}{4}` and percent. Where a writing has two meanings ("1,234", "1.234", "50 %",
    "5 100"), both are given. What stands in the last `\boxed{...}` goes before all else. Digits within a word ("CO2", "x1") are
    no number, and numbers in words are not read.
    """
    boxed = _patterns()[1].findall(text, timeout=_SEARCH_S)
    return (_last_of(boxed[-1]) if boxed else None) or _last_of(text)


def _last_of(text: str) -> tuple[str, tuple[float, ...]] | None:
    for written, meant in _LATEX:
        text = text.replace(written, meant)
    newest = deque(_patterns()[0].finditer(text.translate(_VULGAR), timeout=_SEARCH_S), maxlen=1)
    if not newest:
        return None
    last = newest[0]
    sign = -1.0 if last["sign"] and last["sign"] in "-−–" else 1.0
    values = [sign * value for value in _magnitudes(last)]
    if last["percent"]:
        values += [value / 100 for value in values]
    return last[0].strip(), tuple(dict.fromkeys(values))


@cache
def _patterns() -> tuple[regex.Pattern[str], regex.Pattern[str]]:
    import regex

    return regex.compile(_PATTERN, regex.VERBOSE), regex.compile(_BOXED)


def _magnitudes(found: regex.Match[str]) -> list[float]:
    top, bottom = found["latex_top"] or found["top"], found["latex_bottom"] or found["bottom"]
    if top is not None:
        if float(bottom) == 0:
            return [math.inf]
        part = float(top) / float(bottom)
        return [float(found["whole"]) + part, part] if found["whole"] else [part]
    exponent = (found["exponent"] or found["power"] or (found["raised"] or "0").translate(_SUPERSCRIPTS)).replace("−", "-")
    return [float(f"{digits}e{exponent}") for digits in _plain_digits(found["digits"])]


def _plain_digits(written: str) -> list[str]:
    """What digits with separators may mean, as digits with at most one decimal point."""
    separators = [char for char in written if not char.isdigit()]
    if not separators:
        return [written]
    if written.startswith("."):
        return [f"0{written}"]
    meanings = []
    whole, _, fraction = written.rpartition(separators[-1])
    if separators[-1] in ".," and separators[-1] not in separators[:-1] and _is_grouped(whole):
        meanings.append(f"{_joined(whole)}.{fraction}")
    if _is_grouped(written):
        meanings.append(_joined(written))
        if separators[-1] == " " and not written.rpartition(" ")[2].startswith("0"):
            meanings.append(written.rpartition(" ")[2])
    if not meanings:
        # Several numbers in a row ("3, 5" has a space after the comma, but "3,5,7" has not): the last of them counts.
        meanings.append(fraction)
    return meanings


def _is_grouped(written: str) -> bool:
    """Whether digits stand alone, or in groups of three behind the first (in India of two before the last)."""
    separators = {char for char in written if not char.isdigit()}
    if not separators:
        return True
    if len(separators) > 1:
        return False
    first, *others = written.split(separators.pop())
    middle = {len(group) for group in others[:-1]}
    return 1 <= len(first) <= 3 and len(others[-1]) == 3 and middle in (set(), {2}, {3})


def _joined(written: str) -> str:
    return "".join(char for char in written if char.isdigit())
