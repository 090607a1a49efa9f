"""The list of runtime packs, as their publishers sign it (`packs.json`)."""

from __future__ import annotations

from typing import Annotated

import msgspec

from localai_app.release.fields import (
    Address,
    DottedNumber,
    EngineId,
    Identifier,
    Line,
    Number,
    Sha256,
    SizeBytes,
    Time,
    Version,
    require_address,
    require_safe_paths,
)


class PackArchive(msgspec.Struct, frozen=True, kw_only=True):
    """The file to download; `url` may be relative to the document's own address."""

    url: Address
    size_bytes: SizeBytes
    sha256: Sha256


class PackFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file in the archive, by its path with `/`."""

    path: Line
    size_bytes: SizeBytes
    sha256: Sha256


class Pack(msgspec.Struct, frozen=True, kw_only=True):
    """Back ends that are added to one very build of llama.cpp.

    `engine_id` must equal the installed build's: libraries fit their own commit and flags only. `platform` is
    `<system>-<processor>`. Drivers and compute capabilities are dotted numbers; "" for no limit.
    """

    pack_id: Identifier
    engine_id: EngineId
    platform: Identifier
    version: Version
    label: Line
    archive: PackArchive
    unpacked_bytes: SizeBytes
    files: Annotated[tuple[PackFile, ...], msgspec.Meta(min_length=1, max_length=1000)]
    min_driver: DottedNumber = ""
    min_compute_capability: DottedNumber = ""
    max_compute_capability: DottedNumber = ""
    licence_file: Line = ""
    """Path of the text of the licences of what is in it; one of `files`."""

    def require_sense(self) -> None:
        """ValueError for what cannot be meant."""
        paths = [file.path for file in self.files]
        require_safe_paths(paths)
        require_address(self.archive.url)
        if self.archive.size_bytes == 0:
            raise ValueError(f"the archive of {self.pack_id} is empty")
        if sum(file.size_bytes for file in self.files) != self.unpacked_bytes:
            raise ValueError(f"the sizes of the files of {self.pack_id} do not add up")
        if self.licence_file and self.licence_file not in paths:
            raise ValueError(f"the licence of {self.pack_id} is not among its files")


class PackDocument(msgspec.Struct, frozen=True, kw_only=True):
    """All packs that there are now; times have a zone."""

    number: Number
    published: Time
    expires: Time
    packs: Annotated[tuple[Pack, ...], msgspec.Meta(max_length=200)] = ()

    def require_sense(self) -> None:
        """ValueError for what cannot be meant."""
        if self.expires <= self.published:
            raise ValueError("it expires before it was published")
        if len({(pack.pack_id, pack.engine_id, pack.platform) for pack in self.packs}) < len(self.packs):
            raise ValueError("a pack is listed twice")
        for pack in self.packs:
            pack.require_sense()
