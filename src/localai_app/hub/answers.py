"""From huggingface_hub's objects, which hold whatever a server sent, to checked values of our own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

from localai_app.hub.layout import check_no_clash
from localai_app.hub.model import Repo, RepoFile, SearchHit
from localai_app.hub.reference import is_repo_id
from localai_app.hub.variants import sort_contents
from localai_app.units import MB

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo, RepoFolder
    from huggingface_hub.hf_api import RepoFile as HubRepoFile

MAX_FILES = 20_000
MAX_FILE_BYTES = 1 << 44
"""16 TiB: what ext4 can hold in one file. A larger one is no file but a lie."""
_MAX_PLAIN_BYTES = 10 * MB
"""Files from here on are always in the Hub's large-file store, and so have a sha256."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_TAGS = 200
_MAX_COUNT = 10**12


def search_hits(found: Iterable[ModelInfo]) -> tuple[SearchHit, ...]:
    """Rows of a search; those that do not name a repository are left out. Raises TypeError or ValueError for other types."""
    hits = []
    for info in found:
        if isinstance(info.id, str) and is_repo_id(info.id):
            hits.append(SearchHit(
                repo_id=info.id, downloads=_count(info.downloads), likes=_count(info.likes), last_modified=_date(info),
                gated=_is_gated(info), tags=_tags(info.tags)))
    return tuple(hits)


def repo_from_hub(repo_id: str, commit: str, info: ModelInfo, tree: Iterable[HubRepoFile | RepoFolder]) -> Repo:
    """A repository from its description and its list of files. Raises TypeError or ValueError for what cannot be true."""
    listed = list(islice(tree, MAX_FILES + 1))
    if len(listed) > MAX_FILES:
        raise ValueError(f"more than {MAX_FILES} files")
    files = [_file(entry) for entry in listed if hasattr(entry, "blob_id") and str(entry.path).lower().endswith(".gguf")]
    if len({file.path for file in files}) < len(files):
        raise ValueError("a file is listed twice")
    check_no_clash(file.path for file in files)
    contents = sort_contents(files)
    return Repo(
        repo_id=repo_id, commit=commit, variants=contents.variants, projectors=contents.projectors, gated=_is_gated(info),
        license=_license(info), downloads=_count(info.downloads), likes=_count(info.likes), last_modified=_date(info),
        tags=_tags(info.tags))


def _file(entry: Any) -> RepoFile:
    path, size, large = entry.path, entry.size, entry.lfs
    if not isinstance(path, str) or not 0 < len(path) <= 2000:
        raise ValueError("a file without a name")
    if large is not None:
        size = large.size
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= MAX_FILE_BYTES:
        raise ValueError(f"a file of {size!r} bytes")
    sha256 = None if large is None else large.sha256
    if sha256 is not None and (not isinstance(sha256, str) or not _SHA256.fullmatch(sha256)):
        raise ValueError("a checksum that is none")
    if sha256 is None and size > _MAX_PLAIN_BYTES:
        raise ValueError("a large file without a checksum")
    return RepoFile(path=path, size_bytes=size, sha256=sha256)


def _count(value: object) -> int:
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} is not a number")
    return min(max(0, value), _MAX_COUNT)


def _tags(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is not a list of tags")
    return tuple(tag[:200] for tag in value[:_MAX_TAGS] if isinstance(tag, str))


def _date(info: ModelInfo) -> str:
    return "" if info.last_modified is None else info.last_modified.isoformat()


def _is_gated(info: ModelInfo) -> bool:
    return info.gated not in (None, False, "")


def _license(info: ModelInfo) -> str:
    stated = getattr(info.card_data, "license", None)
    if isinstance(stated, str) and stated:
        return stated[:100]
    return next((tag.removeprefix("license:") for tag in _tags(info.tags) if tag.startswith("license:")), "")
