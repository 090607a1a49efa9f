"""What people want a model for, and how good each one is at it."""

from __future__ import annotations

from enum import StrEnum

from localai_app.catalog.model import CatalogModel

OTHER_PURPOSE_POINTS = 8.0
"""A model whose makers do not name the task, and that no score speaks for, is taken to be this much worse at it."""


class Task(StrEnum):
    """A kind of question. Chat stands for everyday use, so it is ranked by the overall quality."""

    CHAT = "chat"
    CODE = "code"
    REASONING = "reasoning"
    VISION = "vision"
    LANGUAGES = "languages"


TASK_WORDS = {
    Task.CHAT: "Everyday chat", Task.CODE: "Code", Task.REASONING: "Reasoning", Task.VISION: "Vision",
    Task.LANGUAGES: "Languages",
}
"""Names on screen."""
TASK_MEANINGS = {
    Task.CHAT: "Questions, writing and summaries: ranked by overall quality",
    Task.CODE: "Writing and repairing programs: ranked by LiveCodeBench, SWE-bench, HumanEval and the like",
    Task.REASONING: "Maths and hard questions: ranked by GPQA, AIME, MATH and the like",
    Task.VISION: "Questions about pictures: only models that see, ranked by MMMU, MathVista, DocVQA and the like",
    Task.LANGUAGES: "Other languages than English: no score is known yet, so ranked by overall quality and by what makers name",
}
"""What a choice means, in one line."""


def can_do(model: CatalogModel, task: Task) -> bool:
    """Whether a model can do a task at all: pictures need a model that sees, all else is a matter of quality."""
    return task is not Task.VISION or Task.VISION.value in model.tasks


def is_meant_for(model: CatalogModel, task: Task) -> bool:
    """Whether its makers name the task, or published scores speak for it."""
    return task.value in model.tasks or not (task is Task.CHAT or model.quality_for(task.value).is_estimated)


def points_for(model: CatalogModel, task: Task) -> float:
    """Quality at a task, 0 to 100 (on the scale of the overall quality)."""
    value = model.quality_for(task.value).value
    return value if is_meant_for(model, task) else max(0.0, value - OTHER_PURPOSE_POINTS)

