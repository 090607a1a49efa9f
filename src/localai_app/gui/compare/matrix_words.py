"""What is said of a comparison while it runs, and after: no name before the vote."""

from __future__ import annotations

from localai_app.compare.blind import BlindNames
from localai_app.compare.comparison import Comparison, ComparisonState
from localai_app.services.compare.running_state import ContestantPhase, RunningState
from localai_app.units import format_wait

SOMEBODY = "A contestant"


def state_badge(comparison: Comparison, *, is_running: bool) -> tuple[str, str]:
    """How far it is in a word, and the tone of its badge."""
    if is_running:
        return "running", "accent"
    if comparison.state is ComparisonState.DONE:
        return "done", "good"
    return ("stopped", "neutral") if comparison.state is ComparisonState.CANCELLED else ("cut off", "warn")


def progress_words(comparison: Comparison, state: RunningState) -> str:
    """Answers done, and the time left. `state`: what runs now, this comparison or something else."""
    is_running = state.comparison_id == comparison.id
    done = state.n_done if is_running else len(comparison.answers)
    words = f"{done:,} of {comparison.n_cells:,} answers"
    if is_running:
        return f"{words}, about {format_wait(state.left_s)} left" if state.left_s is not None else words
    return words if done >= comparison.n_cells else f"{words}. What is finished is kept; it can go on."


def doing_words(comparison: Comparison, state: RunningState) -> str:
    """What each contestant does right now; empty where this comparison does not run."""
    if state.comparison_id != comparison.id:
        return ""
    names = BlindNames(comparison)
    if state.note:
        return names.without_names(state.note)
    parts = []
    for place, phase in enumerate(state.phases):
        name = names.listed_name(place) or SOMEBODY
        key = state.current[place] if place < len(state.current) else None
        if phase is ContestantPhase.LOADING:
            fraction = state.load_fractions[place] if place < len(state.load_fractions) else 0.0
            parts.append(f"{name} is being loaded, {fraction:.0%}")
        elif phase is ContestantPhase.ANSWERING and key is not None:
            repeat = f", repeat {key.repeat + 1} of {comparison.spec.repeats}" if comparison.spec.repeats > 1 else ""
            parts.append(f"{name} answers prompt {key.prompt + 1} of {len(comparison.spec.prompts)}{repeat}")
    return " · ".join(parts)


def failure_words(comparison: Comparison) -> str:
    """Why contestants could not answer, a line for each; empty where all could."""
    names = BlindNames(comparison)
    return "\n".join(
        f"{names.listed_name(run.contestant) or SOMEBODY}: {names.without_names(run.error)}"
        for run in comparison.runs if run.error)
