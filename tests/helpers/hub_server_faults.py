"""Fault scripts for the Hub server: what goes wrong, where, and how often.

A script is one or more steps joined by `;`, each `name`, `name=value` or `name@value`:

    at any request     status=503 · retry_after=2 · code=GatedRepo · captive_portal · redirect=URL · redirect_loop · close
    at API answers     json=TEXT · huge_json=BYTES · lie_size=+5 · hash=TEXT · commit=TEXT · no_lfs · rename=FROM>TO
    at resolve         lie_size=N · etag=TEXT · commit=TEXT · changed_etag · direct (no second host) · expired_cdn (a dead link)
    at a file's body   drop@0.5 (or @BYTES) · corrupt@1000 · stall · stall@0.5 · slow=BYTES_PER_S · ignore_range · gzip ·
                       wrong_content_range · wrong_total · wrong_status=206 · missing_length · html · expired_cdn · refuse_range
"""

from __future__ import annotations

import fnmatch
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Stage(StrEnum):
    """Where in the conversation a request is."""

    API = "api"
    RESOLVE = "resolve"
    BODY = "body"


_ANYWHERE = {"status", "retry_after", "code", "captive_portal", "redirect", "redirect_loop", "close"}
_STAGES: Mapping[str, frozenset[Stage]] = {
    **{name: frozenset(Stage) for name in _ANYWHERE},
    **{name: frozenset({Stage.API}) for name in ("json", "huge_json", "hash", "no_lfs", "rename")},
    **{name: frozenset({Stage.API, Stage.RESOLVE}) for name in ("lie_size", "commit")},
    **{name: frozenset({Stage.RESOLVE}) for name in ("etag", "changed_etag", "direct")},
    "expired_cdn": frozenset({Stage.RESOLVE, Stage.BODY}),
    **{
        name: frozenset({Stage.BODY})
        for name in (
            "drop", "corrupt", "stall", "slow", "ignore_range", "gzip", "wrong_content_range", "wrong_total", "wrong_status",
            "missing_length", "html", "refuse_range",
        )
    },
}


def parse_script(script: str) -> dict[str, str]:
    """`"drop@0.5;slow=1000"` as `{"drop": "0.5", "slow": "1000"}`; raises ValueError for a step that does not exist."""
    steps: dict[str, str] = {}
    for step in filter(None, (part.strip() for part in script.split(";"))):
        cut = min((step.index(mark) for mark in "@=" if mark in step), default=len(step))
        name, value = step[:cut], step[cut + 1 :]
        if name not in _STAGES:
            raise ValueError(f"unknown fault {name!r}; known: {', '.join(sorted(_STAGES))}")
        steps[name] = value
    return steps


def offset_of(value: str, size: int) -> int:
    """A place in a file: a share (`0.5`) or a number of bytes (`1000`)."""
    return int(float(value) * size) if "." in value else int(value)


@dataclass
class _Fault:
    path_glob: str
    method: str
    steps: dict[str, str]
    times_left: int | None
    stages: frozenset[Stage] = field(init=False)

    def __post_init__(self) -> None:
        stages = frozenset(Stage)
        for name in self.steps:
            stages &= _STAGES[name]
        if not stages:
            raise ValueError(f"these faults never meet in one request: {', '.join(self.steps)}")
        self.stages = stages

    def applies(self, method: str, path: str, stage: Stage) -> bool:
        return (
            self.times_left != 0
            and stage in self.stages
            and self.method in ("*", method)
            and fnmatch.fnmatchcase(path, self.path_glob)
        )


class FaultBook:
    """The faults in force; each is used up by the requests that it hits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[_Fault] = []

    def add(self, path_glob: str, script: str, *, times: int | None = 1, method: str = "*") -> None:
        """Spoil the next `times` requests (None: all) whose path matches the glob."""
        with self._lock:
            self._faults.append(_Fault(path_glob, method, parse_script(script), times))

    def clear(self) -> None:
        """Behave from now on."""
        with self._lock:
            self._faults.clear()

    def take(self, method: str, path: str, stage: Stage) -> dict[str, str]:
        """The steps that spoil this request; empty when nothing is to go wrong. Only the oldest matching fault counts."""
        with self._lock:
            for fault in self._faults:
                if fault.applies(method, path, stage):
                    if fault.times_left is not None:
                        fault.times_left -= 1
                    return dict(fault.steps)
        return {}
