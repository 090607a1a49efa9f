"""Finds the one artefact of a kind in dist/."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Needs = Callable[[str | Path], Path]
"""The fixture `needs` of conftest.py."""


def only_artefact(needs: Needs, ending: str) -> Path:
    """The one artefact whose name has this ending; the fixture's skip or failure where there is none."""
    found = sorted(needs("").glob(f"localai-app*{ending}"))
    assert len(found) < 2, f"several: {found}"
    return found[0] if found else needs(f"localai-app...{ending}")
