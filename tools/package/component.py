"""One work of others in a bundle, and what is read of its licence."""

from __future__ import annotations

import importlib.metadata
import json
import re
from dataclasses import dataclass
from typing import Any

_LICENCE_FILE = re.compile(r"licen[cs]e|copying|notice|authors", re.IGNORECASE)
_LONGEST_LICENCE_NAME = 80


@dataclass(frozen=True)
class Component:
    """A work. `licence` as its makers name it; `texts` are whole licences and notices; `contains` names what is compiled in."""

    name: str
    version: str
    licence: str
    texts: tuple[str, ...]
    contains: tuple[str, ...] = ()


def of_distribution(distribution: importlib.metadata.Distribution, extra: tuple[str, ...] = ()) -> Component:
    """A Python distribution with the texts that it brings, and `extra` before them."""
    texts = []
    for file in sorted(distribution.files or (), key=str):
        in_metadata = ".dist-info" in file.parts[0]
        if in_metadata and _LICENCE_FILE.search("/".join(file.parts[1:])):
            texts.append(tidy(file.locate().read_bytes().decode("utf-8", "replace")))  # type: ignore[attr-defined]
    meta = distribution.metadata
    return Component(
        meta["Name"], distribution.version, _licence_name(meta), (*extra, *dict.fromkeys(texts)), _compiled_in(distribution))


def tidy(text: str) -> str:
    """A text with plain line ends and nothing at the end of lines."""
    return "\n".join(line.rstrip() for line in text.replace("\f", "\n").splitlines()).strip()


def _licence_name(meta: Any) -> str:
    named = meta.get("License-Expression") or meta.get("License") or ""
    if named and len(named) <= _LONGEST_LICENCE_NAME and "\n" not in named:
        return str(named)
    kinds = [line.split(" :: ")[-1] for line in meta.get_all("Classifier") or () if line.startswith("License ::")]
    return ", ".join(kinds)


def _compiled_in(distribution: importlib.metadata.Distribution) -> tuple[str, ...]:
    """What the software bills of materials of a distribution list (CycloneDX): name, version and licence."""
    found = set()
    for file in distribution.files or ():
        if "/sboms/" in str(file) and str(file).endswith(".json"):
            document = json.loads(file.locate().read_bytes())  # type: ignore[attr-defined]
            for each in document.get("components", ()):
                found.add(f"{each.get('name', '')} {each.get('version', '')} {_sbom_licence(each)}".strip())
    return tuple(sorted(found))


def _sbom_licence(entry: dict[str, Any]) -> str:
    names = [
        each.get("expression") or each.get("license", {}).get("id") or each.get("license", {}).get("name") or ""
        for each in entry.get("licenses", ())]
    return f"({', '.join(filter(None, names))})" if any(names) else ""
