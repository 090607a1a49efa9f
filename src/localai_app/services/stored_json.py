"""Reads what services keep in the store as JSON: a value that makes no sense costs itself and nothing else."""

from __future__ import annotations

import logging
from typing import TypeVar

import msgspec

log = logging.getLogger(__name__)

T = TypeVar("T")


def stored_value(text: str | None, kind: type[T], what: str) -> T | None:
    """The value behind a text of the store; None where nothing is kept, or where it cannot be read, which is logged.

    `what` names the value in the log.
    """
    if not text:
        return None
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.MsgspecError as error:
        log.info("%s cannot be read and is left out: %s", what, error)
        return None
