"""THIRD_PARTY.txt: whose work is in a bundle and under which terms, made from where each of its files came from.

Nothing is listed by hand: every file and every module is traced to the distribution, the Python or the system package that it
was copied from. What belongs to nobody known ends the build.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.dev.console import StepError
from tools.package.component import Component
from tools.package.origins import Origins

TEXT_NAME = "THIRD_PARTY.txt"
INDEX_NAME = "third_party.json"
_OWN = "Local AI"
_RULE = "=" * 100
_HEAD = """Local AI contains works of others, listed here with the terms under which they are used and passed on.
Local AI itself is under the MIT License; its text comes first.
"""


@dataclass(frozen=True)
class Bundled:
    """What is in a bundle and where it came from: files by their place in the bundle, modules by their name."""

    files: Mapping[str, Path]
    modules: Mapping[str, Path]


def write_notices(
    folder: Path, bundled: Bundled, engine: str, index_folder: Path, *, origins: Origins | None = None,
    linked: Sequence[Component] = (),
) -> None:
    """Write THIRD_PARTY.txt into `folder`, and into `index_folder` which file belongs to which work.

    `engine`: the folder of llama.cpp's libraries, relative to `folder`; `linked`: works of which parts are inside of these
    libraries; `origins`: for what is not of this environment. StepError names what belongs to nothing known.
    """
    origins = origins or Origins()
    parts = _parts(bundled, origins)
    of_engine = [path for path in sorted((folder / engine).rglob("*")) if path.is_file()]
    parts.setdefault(origins.llama_cpp(folder / engine), []).extend(path.relative_to(folder).as_posix() for path in of_engine)
    for component in linked:
        parts[component] = [path.relative_to(folder).as_posix() for path in of_engine if path.suffix == ".dll"]
    bare = [component.name for component in parts if not component.texts]
    if bare:
        raise StepError(f"No licence text was found for {', '.join(bare)}: add one to packaging/licenses.")
    ordered = sorted(parts, key=lambda component: (component.name != _OWN, component.name.lower()))
    (folder / TEXT_NAME).write_text(_text(ordered), encoding="utf-8")
    index = [
        {"name": each.name, "version": each.version, "licence": each.licence, "contains": sorted(parts[each])}
        for each in ordered]
    (index_folder / INDEX_NAME).write_text(json.dumps(index, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _parts(bundled: Bundled, origins: Origins) -> dict[Component, list[str]]:
    """Each work with its files and modules (`module NAME`)."""
    parts: dict[Component, list[str]] = {}
    unknown: list[str] = []
    entries = [*bundled.files.items(), *((f"module {name}", path) for name, path in bundled.modules.items())]
    for name, source in sorted(entries):
        component = origins.component_of(source)
        if component is None:
            unknown.append(f"{name} (from {source})")
        else:
            parts.setdefault(component, []).append(name)
    if unknown:
        raise StepError(f"{len(unknown)} files of the bundle belong to nothing known: {', '.join(unknown[:5])}.")
    return parts


def _text(components: Sequence[Component]) -> str:
    lines = [_HEAD, "Contents:", *(f"  {_title(each)}" for each in components)]
    shown: dict[str, str] = {}
    for component in components:
        lines += ["", _RULE, _title(component), _RULE]
        for text in component.texts:
            earlier = shown.setdefault(text, component.name)
            lines += ["", text if earlier == component.name else f"The same text as with {earlier}, above."]
        lines += _inside(component.contains)
    return "\n".join(lines) + "\n"


def _title(component: Component) -> str:
    version = f" {component.version}" if component.version else ""
    return f"{component.name}{version}" + (f" ({component.licence})" if component.licence else "")


def _inside(contained: Iterable[str]) -> list[str]:
    listed = list(contained)
    return ["", "It contains, compiled in:", *(f"  {each}" for each in listed)] if listed else []


def unlisted_files(folder: Path, index_folder: Path) -> list[str]:
    """Files of a finished bundle that its list of works does not know; links stand for the files that they lead to."""
    index = json.loads((index_folder / INDEX_NAME).read_text(encoding="utf-8"))
    known = {name for work in index for name in work["contains"]}
    own = {TEXT_NAME, (index_folder / INDEX_NAME).relative_to(folder).as_posix()}
    present = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sorted(name for name in present if name not in known | own)


def works_without_text(folder: Path, index_folder: Path) -> list[str]:
    """Works of the list that THIRD_PARTY.txt says nothing under."""
    index = json.loads((index_folder / INDEX_NAME).read_text(encoding="utf-8"))
    parts = (folder / TEXT_NAME).read_text(encoding="utf-8").split(f"\n{_RULE}\n")
    # The contents, then a title and its text in turn.
    texts = dict(zip(parts[1::2], parts[2::2], strict=True))
    titles = [_title(Component(work["name"], work["version"], work["licence"], ())) for work in index]
    return [title for title in titles if not texts.get(title, "").strip()]
