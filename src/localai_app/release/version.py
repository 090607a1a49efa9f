"""Versions of this program in their order: 1.0.dev1 < 1.0a1 < 1.0b1 < 1.0rc1 < 1.0 = 1.0.0 < 1.0.1."""

from __future__ import annotations

import re

_VERSION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9}){0,3})(?:(a|b|rc|\.dev)([0-9]{1,9}))?(?:\+[A-Za-z0-9.]*)?")
_STAGES = {".dev": 0, "a": 1, "b": 2, "rc": 3, None: 4}

VersionKey = tuple[tuple[int, ...], int, int]


def version_key(text: str) -> VersionKey:
    """What versions are ordered by; a mark of a local build (`+…`) does not count. ValueError for what is no version."""
    found = _VERSION.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!a} is no version")
    numbers, stage, count = found.groups()
    parts = [int(part) for part in numbers.split(".")]
    return tuple(parts + [0] * (4 - len(parts))), _STAGES[stage], int(count or 0)


def is_newer(offered: str, installed: str) -> bool:
    """Whether one version comes after another one; false where either is none."""
    try:
        return version_key(offered) > version_key(installed)
    except ValueError:
        return False
