"""Whether every module that the program may ever import is there, also those that are only imported when they are needed.

A frozen program contains what was seen to be imported when it was made. What was not seen fails months later, at the click
that needs it; so all of it is imported here, read from the program's own compiled code.
"""

from __future__ import annotations

import dis
import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Iterator
from types import CodeType

import localai_app

_BY_THE_WORKER = "llama_cpp"
"""Loads its library while it is imported, from the build that it is told: the workers of the self-check do that."""
_ENTRY = "localai_app.__main__"
_IMPORT = dis.opmap["IMPORT_NAME"]
_PADDING = ("EXTENDED_ARG", "CACHE")


def absent_modules() -> tuple[int, list[str]]:
    """How many modules and names were looked for, and a sentence for each that cannot be imported."""
    problems: dict[str, None] = {}
    wanted: set[tuple[str, str]] = set()
    for name in own_modules():
        try:
            importlib.import_module(name)
            wanted |= imports_of(name)
        except Exception as error:  # noqa: BLE001 - whatever a module raises while it is imported
            problems[f"{name} cannot be imported: {error}"] = None
    for module, attribute in sorted(wanted):
        problem = problem_with(module, attribute)
        if problem:
            problems[problem] = None
    return len(wanted), list(problems)


def own_modules() -> list[str]:
    """The names of all modules of the program."""
    found = pkgutil.walk_packages(localai_app.__path__, f"{localai_app.__name__}.", onerror=lambda _name: None)
    return [module.name for module in found if module.name != _ENTRY]


def imports_of(name: str) -> set[tuple[str, str]]:
    """What the code of a module imports anywhere in it: modules, each with a name taken from it, or "" for itself."""
    spec = importlib.util.find_spec(name)
    code_of = getattr(spec.loader, "get_code", None) if spec is not None else None
    if code_of is None:
        raise ImportError("its code cannot be read")
    return set(_imports_in(code_of(name)))


def _imports_in(code: CodeType) -> Iterator[tuple[str, str]]:
    # Most functions import nothing; to take them apart would take seconds.
    has_imports = _IMPORT in code.co_code[::2]
    instructions = [each for each in dis.get_instructions(code) if each.opname not in _PADDING] if has_imports else []
    for index, instruction in enumerate(instructions):
        if instruction.opname == "IMPORT_NAME":
            yield instruction.argval, ""
            names = instructions[index - 1].argval
            for name in names if isinstance(names, tuple) else ():
                yield instruction.argval, name
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _imports_in(constant)


def problem_with(module: str, attribute: str) -> str:
    """Why a module, or a name in it (may be ""), cannot be imported; empty where it can, or is for other systems."""
    root = module.partition(".")[0]
    if root == _BY_THE_WORKER:
        return ""
    try:
        found = importlib.import_module(module)
    except Exception as error:  # noqa: BLE001 - whatever a module raises while it is imported
        # Parts of Python that only one system has are imported where it is that system.
        return "" if root in sys.stdlib_module_names else f"{module} cannot be imported: {error}"
    if not attribute or attribute == "*" or hasattr(found, attribute) or root in sys.stdlib_module_names:
        return ""
    try:
        importlib.import_module(f"{module}.{attribute}")
    except Exception as error:  # noqa: BLE001 - whatever a module raises while it is imported
        return f"{module} has no {attribute}: {error}"
    return ""
