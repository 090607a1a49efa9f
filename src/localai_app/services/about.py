"""What this installation is: its version, its engine, its terms, and where the notices of others' work lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from localai_app import __version__
from localai_app.paths import installed_notices
from localai_app.services.runtimes import RuntimeService

TERMS = "MIT License"


@dataclass(frozen=True, slots=True)
class About:
    """`engine` names the build in use, empty where there is none; `notices` is the file of an installation, else None."""

    version: str
    engine: str
    notices: Path | None

    @property
    def notices_words(self) -> str:
        """What to say of the notices."""
        if self.notices is None:
            return "This is a checkout: each package that it uses brings its own notices."
        return "The notices name the works of others that are in it, with their terms."


def about_now(runtimes: RuntimeService) -> About:
    """The facts; waits for a test of the engine's builds that is under way."""
    used = next((row for row in runtimes.rows() if row.is_chosen), None)
    return About(__version__, used.name if used is not None else "", installed_notices())
