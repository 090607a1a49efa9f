"""Gemma 4's notation of a tool call: `call:name{key:<|"|>text<|"|>,other:[1,true]}`."""

from __future__ import annotations

import re
from typing import Any

_QUOTE = '<|"|>'
_MAX_DEPTH = 64
_HEAD = re.compile(r"call:([\w.-]+)\s*\{")
_KEY = re.compile(r'\s*(?:<\|"\|>(.*?)<\|"\|>|([^\s:{}\[\],]+))\s*:', re.DOTALL)
_WORDS = {"true": True, "false": False, "null": None, "None": None}


def parse_gemma_call(text: str) -> tuple[str, dict[str, Any]]:
    """Name and arguments; ValueError with the reason where it is no such call."""
    head = _HEAD.match(text)
    if head is None:
        raise ValueError("it names no tool")
    arguments, place = _mapping(text, head.end(), 0)
    if text[place:].strip():
        raise ValueError("something follows its arguments")
    return head[1], arguments


def _mapping(text: str, place: int, depth: int) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    while True:
        place = _skip(text, place)
        if text[place:place + 1] == "}":
            return found, place + 1
        key = _KEY.match(text, place)
        if key is None:
            raise ValueError("its arguments are not complete")
        found[key[1] if key[1] is not None else key[2]], place = _value(text, key.end(), depth + 1)


def _value(text: str, place: int, depth: int) -> tuple[Any, int]:
    if depth > _MAX_DEPTH:
        raise ValueError("it is nested too deeply")
    place = _skip(text, place)
    if text.startswith(_QUOTE, place):
        end = text.find(_QUOTE, place + len(_QUOTE))
        if end < 0:
            raise ValueError("a text in it does not end")
        return text[place + len(_QUOTE):end], end + len(_QUOTE)
    if text[place:place + 1] == "{":
        return _mapping(text, place + 1, depth)
    if text[place:place + 1] == "[":
        return _sequence(text, place + 1, depth)
    word = re.compile(r"[^,{}\[\]]+").match(text, place)
    if word is None:
        raise ValueError("a value is missing")
    return _word(word[0].strip()), word.end()


def _sequence(text: str, place: int, depth: int) -> tuple[list[Any], int]:
    found: list[Any] = []
    while True:
        place = _skip(text, place)
        if text[place:place + 1] == "]":
            return found, place + 1
        value, place = _value(text, place, depth + 1)
        found.append(value)


def _word(word: str) -> Any:
    if word in _WORDS:
        return _WORDS[word]
    for convert in (int, float):
        try:
            return convert(word)
        except ValueError:
            continue
    return word


def _skip(text: str, place: int) -> int:
    while text[place:place + 1] and text[place] in " \t\r\n,":
        place += 1
    return place
