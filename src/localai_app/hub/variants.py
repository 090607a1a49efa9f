"""From a repository's list of files to its variants: split parts together, projectors and other companions apart."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from localai_app.hub.model import RepoFile, Variant

_SPLIT = re.compile(r"^(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})$")
# The names that llama.cpp's quantizer gives its types, and those that publishers add (UD- of Unsloth, MXFP4, NVFP4).
_LABEL = re.compile(
    r"(?<![A-Z0-9])(?P<dynamic>UD-)?"
    r"(?P<label>I?Q[1-8]_(?:K_(?:XXL|XL|L|M|S|P)|K|XXS|XS|S|M|L|NL|0|1)(?:_XL)?|TQ[12]_0|MXFP4|NVFP4|BF16|FP16|F16|FP32|F32)"
    r"(?:_MOE)?(?![A-Z0-9])",
    re.IGNORECASE,
)
_SAME_AS = {"FP16": "F16", "FP32": "F32"}
# Files that belong to a model but are none: importance matrices, prediction heads, drafts, adapters, bare vocabularies.
_COMPANION = re.compile(
    r"(?:^|[-_.])(?:imatrix|lora|adapter|control-vector|tokenizer)(?:[-_.]|$)|^(?:mtp|draft|eagle\d?|dflash|ggml-vocab)[-_.]",
    re.IGNORECASE,
)
_PROJECTOR = re.compile(r"(?:^|[-_.])mmproj(?:[-_.]|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RepoContents:
    """Language models (smallest first) and projectors of a repository."""

    variants: tuple[Variant, ...]
    projectors: tuple[RepoFile, ...]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """One whole model: its files, the stem of its name without folder, split suffix and ending, and its folder."""

    files: tuple[RepoFile, ...]
    stem: str
    folder: str
    label: str


def label_of_path(path: str) -> str:
    """The quantization label in a file's name, else in the folder that it lies in; "" where there is none."""
    for part in reversed(path.split("/")):
        found = list(_LABEL.finditer(part))
        if found:
            label = found[-1]["label"].upper()
            return ("UD-" if found[-1]["dynamic"] else "") + _SAME_AS.get(label, label)
    return ""


def is_model_name(name: str) -> bool:
    """Whether a GGUF file of this name is a language model, and not a projector or another file that belongs to one."""
    stem = PurePosixPath(name).stem
    return _PROJECTOR.search(stem) is None and _COMPANION.search(stem) is None


def is_projector_name(name: str) -> bool:
    """Whether a GGUF file of this name is the image or audio part of a model."""
    return _PROJECTOR.search(PurePosixPath(name).stem) is not None


def sort_contents(files: Iterable[RepoFile]) -> RepoContents:
    """Group the GGUF files of a repository. A split model with a part missing or doubled is left out."""
    models: list[RepoFile] = []
    projectors: list[RepoFile] = []
    for file in files:
        name = PurePosixPath(file.path).name
        if not name.lower().endswith(".gguf") or file.size_bytes <= 0:
            continue
        if is_projector_name(name):
            projectors.append(file)
        elif is_model_name(name):
            models.append(file)
    variants = [Variant(label=label, files=candidate.files) for label, candidate in _name_apart(_whole_models(models))]
    variants.sort(key=lambda variant: (variant.size_bytes, variant.label))
    return RepoContents(tuple(variants), tuple(sorted(projectors, key=lambda file: (file.size_bytes, file.path))))


def _whole_models(files: Sequence[RepoFile]) -> list[_Candidate]:
    whole: list[_Candidate] = []
    parts: dict[tuple[str, str, int], list[tuple[int, RepoFile]]] = defaultdict(list)
    for file in files:
        path = PurePosixPath(file.path)
        folder = "" if str(path.parent) == "." else str(path.parent)
        stem = path.name[: -len(".gguf")]
        split = _SPLIT.match(stem)
        if split is None:
            whole.append(_Candidate((file,), stem, folder, label_of_path(file.path) or stem))
        else:
            parts[folder, split["stem"], int(split["count"])].append((int(split["number"]), file))
    for (folder, stem, count), members in parts.items():
        members.sort(key=lambda member: member[0])
        if [number for number, _ in members] == list(range(1, count + 1)):
            label = label_of_path(f"{folder}/{stem}") or stem
            whole.append(_Candidate(tuple(file for _, file in members), stem, folder, label))
    return whole


def _name_apart(candidates: Sequence[_Candidate]) -> list[tuple[str, _Candidate]]:
    """A label for each, all different (in any case): the quantization's, else with its folder, else the whole name."""
    proposals: tuple[Callable[[_Candidate], str], ...] = (
        lambda candidate: candidate.label,
        lambda candidate: f"{candidate.folder}/{candidate.label}" if candidate.folder else candidate.label,
        lambda candidate: candidate.stem,
        lambda candidate: f"{candidate.folder}/{candidate.stem}" if candidate.folder else candidate.stem,
        lambda candidate: candidate.files[0].path,
    )
    named: list[tuple[str, _Candidate]] = []
    taken: set[str] = set()
    left = list(candidates)
    for propose in proposals:
        counts = Counter(propose(candidate).casefold() for candidate in left)
        still: list[_Candidate] = []
        for candidate in left:
            label = propose(candidate)
            if counts[label.casefold()] == 1 and label.casefold() not in taken:
                taken.add(label.casefold())
                named.append((label, candidate))
            else:
                still.append(candidate)
        left = still
    # Only paths that differ in case alone are left: they could not both be stored on every disk, so the first one counts.
    for candidate in left:
        label = candidate.files[0].path
        if label.casefold() not in taken:
            taken.add(label.casefold())
            named.append((label, candidate))
    return named
