"""Grammars in llama.cpp's notation (GBNF): read and checked here first, because llama.cpp itself trusts them.

A rule that begins with itself, deep nesting or a chain of alternatives that doubles at every level would crash or hang
the library in the middle of an answer. What passes here has bounds, and what does not is told with its line.
The notation: `grammars/README.md` of llama.cpp; repetitions are rewritten as its parser does, so that the sizes agree.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_GRAMMAR_CHARS = 64 * 1024
MAX_NESTING = 64
MAX_REPEATS = 2000
"""`MAX_REPETITION_THRESHOLD` of llama.cpp, for a single repetition and for nested ones multiplied."""
MAX_ELEMENTS = 100_000
"""Elements of all rules after repetitions were written out."""
MAX_LEFT_STEPS = 200_000
"""Rules that llama.cpp visits while it looks for left recursion: it walks every path, also through rules it has seen."""
MAX_LEFT_DEPTH = 2_000


class GrammarError(Exception):
    """Why a grammar cannot be used, as the end of a sentence: "it ..." or "line 3: ..."."""


@dataclass(frozen=True, slots=True)
class CharSet:
    """One character out of ranges of code points, or out of all others."""

    ranges: tuple[tuple[int, int], ...]
    is_negated: bool = False

    def matches(self, code_point: int) -> bool:
        """Whether the character may stand here."""
        return any(low <= code_point <= high for low, high in self.ranges) is not self.is_negated


Element = int | CharSet
"""A rule by its number, or a character."""
Alternative = tuple[Element, ...]


@dataclass(frozen=True, slots=True)
class Grammar:
    """Rules by number, each with its alternatives."""

    rules: tuple[tuple[Alternative, ...], ...]
    root: int


def parse_grammar(text: str) -> Grammar:
    """Read a grammar; GrammarError says in words why it cannot be used."""
    if len(text) > MAX_GRAMMAR_CHARS:
        raise GrammarError(f"it is longer than {MAX_GRAMMAR_CHARS // 1024} KiB")
    if "\0" in text:
        raise GrammarError("it holds a zero character")
    grammar = _Parser(text).parse()
    _check_left_recursion(grammar)
    return grammar


_ANY = CharSet((), is_negated=True)
_ESCAPES = {"t": "\t", "r": "\r", "n": "\n", "\\": "\\", '"': '"', "[": "[", "]": "]"}
_HEX_DIGITS = {"x": 2, "u": 4, "U": 8}
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._ids: dict[str, int] = {}
        self._rules: dict[int, tuple[Alternative, ...]] = {}
        self._first_use: dict[int, int] = {}
        self._n_elements = 0

    def parse(self) -> Grammar:
        self._skip_space(newlines=True)
        while self._at < len(self._text):
            self._rule()
        for number, at in self._first_use.items():
            if number not in self._rules:
                name = next(name for name, known in self._ids.items() if known == number)
                raise self._error(f"there is no rule “{name}”", at)
        if "root" not in self._ids:
            raise GrammarError("it has no rule “root”, where every answer begins")
        return Grammar(tuple(self._rules[number] for number in range(len(self._ids))), self._ids["root"])

    def _rule(self) -> None:
        name = self._name()
        number = self._number_of(name)
        self._skip_space(newlines=False)
        if not self._text.startswith("::=", self._at):
            raise self._error("a rule has its name, then ::= and what it stands for")
        self._at += 3
        self._skip_space(newlines=True)
        self._alternatives(number, name, 0)
        if self._peek() == "\r":
            self._at += 1
        if self._at < len(self._text) and self._peek() not in "\r\n" and self._text[self._at - 1] != "\r":
            raise self._error(f"“{self._peek()}” cannot stand here")
        self._skip_space(newlines=True)

    def _alternatives(self, number: int, name: str, depth: int) -> None:
        if depth > MAX_NESTING:
            raise self._error("its brackets are nested too deeply")
        found = [self._sequence(name, depth)]
        while self._peek() == "|":
            self._at += 1
            self._skip_space(newlines=True)
            found.append(self._sequence(name, depth))
        self._add(number, found)

    def _sequence(self, name: str, depth: int) -> list[Element]:
        sequence: list[Element] = []
        last: list[Element] = []
        repeats = 1
        while (sign := self._peek()) and (sign in '"[(.*+?{' or sign in _NAME):
            if sign in "*+?{":
                if not last:
                    raise self._error(f"nothing stands before “{sign}” that could be repeated")
                least, most = self._times()
                repeats *= max(1, most if most is not None else least)
                if repeats > MAX_REPEATS:
                    raise self._error(f"more than {MAX_REPEATS} repetitions are too many")
                del sequence[len(sequence) - len(last):]
                last = self._repeated(last, least, most, name)
            else:
                n_rules = len(self._ids)
                last = self._item(sign, name, depth)
                repeats = max(1, len(self._ids) - n_rules) if sign == "(" else 1
            sequence += last
            self._skip_space(newlines=depth > 0)
        if self._peek() in ("<", "!"):
            raise self._error("single tokens in angle brackets are not supported; write their text")
        return sequence

    def _item(self, sign: str, name: str, depth: int) -> list[Element]:
        if sign == '"':
            return self._literal()
        if sign == "[":
            return [self._char_set()]
        if sign == ".":
            self._at += 1
            return [_ANY]
        if sign == "(":
            self._at += 1
            self._skip_space(newlines=True)
            number = self._new_rule(name)
            self._alternatives(number, name, depth + 1)
            if self._peek() != ")":
                raise self._error("a closing bracket is missing")
            self._at += 1
            return [number]
        at = self._at
        number = self._number_of(self._name())
        self._first_use.setdefault(number, at)
        return [number]

    def _literal(self) -> list[Element]:
        begin = self._at
        self._at += 1
        found: list[Element] = []
        while self._peek() != '"':
            if not self._peek():
                raise self._error("a quotation mark is missing", begin)
            code = self._char()
            found.append(CharSet(((code, code),)))
        self._at += 1
        return found

    def _char_set(self) -> CharSet:
        begin = self._at
        self._at += 1
        is_negated = self._peek() == "^"
        self._at += is_negated
        ranges: list[tuple[int, int]] = []
        while self._peek() != "]":
            if not self._peek():
                raise self._error("a “]” is missing", begin)
            low = high = self._char()
            if self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in ("]", ""):
                self._at += 1
                high = self._char()
            ranges.append((low, high))
        self._at += 1
        if not ranges:
            raise self._error("the brackets [] hold no characters", begin)
        return CharSet(tuple(ranges), is_negated)

    def _char(self) -> int:
        sign = self._text[self._at]
        self._at += 1
        if sign != "\\":
            return ord(sign)
        kind = self._peek()
        self._at += 1
        if kind in _ESCAPES:
            return ord(_ESCAPES[kind])
        digits = self._text[self._at : self._at + _HEX_DIGITS.get(kind, 0)]
        if kind not in _HEX_DIGITS or len(digits) != _HEX_DIGITS[kind] or set(digits) - set("0123456789abcdefABCDEF"):
            raise self._error(f"“\\{kind}” is not known; write \\\\ for a backslash", self._at - 2)
        self._at += len(digits)
        return int(digits, 16)

    def _times(self) -> tuple[int, int | None]:
        """How often at least and at most (None: any number of times), from one of * + ? {m} {m,} {m,n}."""
        sign = self._peek()
        self._at += 1
        if sign != "{":
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
        end = self._text.find("}", self._at)
        inside = self._text[self._at : end].split(",") if 0 < end - self._at <= 40 else []
        parts = [part.strip() for part in inside]
        if not 1 <= len(parts) <= 2 or not parts[0].isdecimal() or (parts[-1] and not parts[-1].isdecimal()):
            raise self._error("braces hold a number, or two with a comma between them", self._at - 1)
        if any(len(part) > 6 for part in parts):
            raise self._error(f"more than {MAX_REPEATS} repetitions are too many", self._at - 1)
        self._at = end + 1
        least = int(parts[0])
        most = least if len(parts) == 1 else int(parts[1]) if parts[1] else None
        if most is not None and most < least:
            raise self._error("the second number in braces is smaller than the first")
        if least > MAX_REPEATS:
            raise self._error(f"more than {MAX_REPEATS} repetitions are too many")
        # As llama.cpp does: so many that they need no limit.
        return least, None if most is not None and most > MAX_REPEATS else most

    def _repeated(self, last: list[Element], least: int, most: int | None, name: str) -> list[Element]:
        """S{m,n} as S S S S', where each S' is the next S followed by a smaller S', or nothing."""
        self._count(len(last) * least)
        repeated = last * least
        rest: int | None = None
        for _ in range(1 if most is None else most - least):
            number = self._new_rule(name)
            follower = number if most is None else rest
            self._add(number, [last if follower is None else [*last, follower], []])
            rest = number
        return repeated if rest is None else [*repeated, rest]

    def _add(self, number: int, alternatives: list[list[Element]]) -> None:
        self._count(sum(len(alternative) + 1 for alternative in alternatives))
        self._rules[number] = tuple(tuple(alternative) for alternative in alternatives)

    def _count(self, n_more: int) -> None:
        self._n_elements += n_more
        if self._n_elements > MAX_ELEMENTS:
            raise self._error("it is too large with all its repetitions")

    def _new_rule(self, name: str) -> int:
        return self._number_of(f"{name}_{len(self._ids)}")

    def _number_of(self, name: str) -> int:
        return self._ids.setdefault(name, len(self._ids))

    def _name(self) -> str:
        begin = self._at
        while self._peek() and self._peek() in _NAME:
            self._at += 1
        if self._at == begin:
            raise self._error("a rule has its name, then ::= and what it stands for")
        return self._text[begin : self._at]

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip_space(self, *, newlines: bool) -> None:
        while (sign := self._peek()) and (sign in " \t#" or (newlines and sign in "\r\n")):
            if sign == "#":
                while self._peek() and self._peek() not in "\r\n":
                    self._at += 1
            else:
                self._at += 1

    def _error(self, reason: str, at: int | None = None) -> GrammarError:
        line = self._text.count("\n", 0, self._at if at is None else at) + 1
        return GrammarError(f"line {line}: {reason}")


def _check_left_recursion(grammar: Grammar) -> None:
    """No rule may begin with itself, and llama.cpp's own search for that must end soon."""
    can_be_empty = _rules_that_can_be_empty(grammar)
    firsts = [_first_rules(alternatives, can_be_empty) for alternatives in grammar.rules]
    steps: dict[int, int] = {}
    depth: dict[int, int] = {}
    active: set[int] = set()
    for start in range(len(grammar.rules)):
        todo = [(start, False)]
        while todo:
            rule, is_left = todo.pop()
            if is_left:
                active.discard(rule)
                steps[rule] = 1 + sum(steps[first] for first in firsts[rule])
                depth[rule] = 1 + max((depth[first] for first in firsts[rule]), default=0)
                if steps[rule] > MAX_LEFT_STEPS or depth[rule] > MAX_LEFT_DEPTH:
                    raise GrammarError("its rules branch too often before the first character")
                continue
            if rule in steps:
                continue
            if rule in active:
                raise GrammarError("one of its rules begins with itself, which never ends")
            active.add(rule)
            todo.append((rule, True))
            todo += [(first, False) for first in firsts[rule] if first not in steps]
            if any(first in active for first in firsts[rule]):
                raise GrammarError("one of its rules begins with itself, which never ends")


def _first_rules(alternatives: tuple[Alternative, ...], can_be_empty: set[int]) -> list[int]:
    """The rules that a rule may begin with, as often as it does."""
    found: list[int] = []
    for alternative in alternatives:
        for element in alternative:
            if not isinstance(element, int):
                break
            found.append(element)
            if element not in can_be_empty:
                break
    return found


def _rules_that_can_be_empty(grammar: Grammar) -> set[int]:
    empty: set[int] = set()
    has_grown = True
    while has_grown:
        has_grown = False
        for number, alternatives in enumerate(grammar.rules):
            if number not in empty and any(all(element in empty for element in one) for one in alternatives):
                empty.add(number)
                has_grown = True
    return empty
