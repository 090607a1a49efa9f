"""Every place that raises an error for users fills in exactly the fields that its words have."""

from __future__ import annotations

import ast
import string
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import localai_app
from localai_app import errors
from localai_app.errors import ErrorSpec

SOURCE = Path(localai_app.__file__).parent
RAISERS = ("AppError", "RequestRefusedError")
OWN_KEYWORDS = {"detail"}


def fields_of(spec: ErrorSpec) -> set[str]:
    texts = (spec.message, spec.action)
    return {name for text in texts for _literal, name, _spec, _conversion in string.Formatter().parse(text) if name}


def specs_of(tree: ast.Module) -> dict[str, ErrorSpec]:
    """The specs that a module can name: those of `errors`, and its own."""
    known = {name: value for name, value in vars(errors).items() if isinstance(value, ErrorSpec)}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and _name(node.value.func) == "ErrorSpec":
            texts = [part.value for part in node.value.args if isinstance(part, ast.Constant)]
            known[_name(node.targets[0])] = ErrorSpec(*map(str, texts[:3]))
    return known


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


@cache
def calls() -> tuple[tuple[str, ast.Call, dict[str, ErrorSpec]], ...]:
    return tuple(_calls())


def _calls() -> Iterator[tuple[str, ast.Call, dict[str, ErrorSpec]]]:
    for path in sorted(SOURCE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if not any(name in text for name in RAISERS):
            continue
        tree = ast.parse(text)
        specs = specs_of(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _name(node.func) in RAISERS:
                yield f"{path.relative_to(SOURCE).as_posix()}:{node.lineno}", node, specs


def problem_of(call: ast.Call, specs: dict[str, ErrorSpec]) -> str:
    """What is wrong with a call; empty if nothing is, or if the spec is chosen at run time."""
    if not call.args or any(keyword.arg is None for keyword in call.keywords):
        return ""
    spec = specs.get(_name(call.args[0]))
    if spec is None:
        return ""
    given = {keyword.arg for keyword in call.keywords if keyword.arg} - OWN_KEYWORDS
    missing, unused = fields_of(spec) - given, given - fields_of(spec)
    return "; ".join(filter(None, (
        f"{spec.code} lacks {', '.join(sorted(missing))}" if missing else "",
        f"{spec.code} has no place for {', '.join(sorted(unused))}" if unused else "")))


def test_every_error_is_raised_with_the_fields_of_its_words() -> None:
    found = [(place, problem_of(call, specs)) for place, call, specs in calls()]
    assert len(found) > 80
    assert [f"{place}: {problem}" for place, problem in found if problem] == []


def test_hardly_any_error_is_chosen_at_run_time() -> None:
    unchecked = [
        place for place, call, specs in calls()
        if not call.args or any(keyword.arg is None for keyword in call.keywords) or _name(call.args[0]) not in specs]
    assert len(unchecked) <= 6, unchecked


def test_the_check_sees_a_missing_and_an_unused_field() -> None:
    tree = ast.parse('AppError(errors.REPO_UNKNOWN, name="x")')
    call = next(node for node in ast.walk(tree) if isinstance(node, ast.Call))
    assert problem_of(call, specs_of(tree)) == "repo_unknown lacks repo; repo_unknown has no place for name"


def test_every_declared_error_is_used() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py") if path.name != "errors.py")
    names = [name for name, value in vars(errors).items() if isinstance(value, ErrorSpec)]
    assert [name for name in names if name not in text] == []


def test_codes_are_unique() -> None:
    codes = [spec.code for spec in errors.all_specs()]
    assert len(codes) == len(set(codes))
