"""Everything about comparing, as one part of the program's services."""

from __future__ import annotations

from dataclasses import dataclass

from localai_app.services.compare.comparison_service import ComparisonService
from localai_app.services.compare.drafts import CompareDrafts
from localai_app.services.compare.judging import JudgingService
from localai_app.services.compare.leaderboard import LeaderboardService
from localai_app.services.compare.losses import LossService
from localai_app.services.compare.prompt_sets import PromptSetService


@dataclass(frozen=True, slots=True)
class CompareServices:
    """`close` ends their threads and processes."""

    comparisons: ComparisonService
    drafts: CompareDrafts
    prompt_sets: PromptSetService
    leaderboard: LeaderboardService
    judging: JudgingService
    losses: LossService

    def close(self) -> None:
        """Stop everything in order; what is unfinished can go on at the next start."""
        self.judging.close()
        self.leaderboard.close()
        self.losses.close()
        self.comparisons.close()
