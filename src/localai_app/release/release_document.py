"""The list of what can be downloaded of the newest release, as its publishers sign it (`release.json`)."""

from __future__ import annotations

from typing import Annotated

import msgspec

from localai_app.release.fields import (
    Address,
    DottedNumber,
    Identifier,
    Line,
    Number,
    Sha256,
    SizeBytes,
    Time,
    Version,
    is_safe_name,
    require_address,
)


class Artefact(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a release.

    `platform` is `<system>-<processor>-<kind>`: linux, windows or macos; x64 or arm64; deb, tar, appimage, setup or dmg.
    `url` may be relative to the document's own address. `minimum_version` is the oldest glibc (Linux), Windows (10.0.17763) or
    macOS (13.0) that it runs on, "" for any; `minimum_system` says the same in words.
    """

    platform: Identifier
    file_name: Line
    url: Address
    size_bytes: SizeBytes
    sha256: Sha256
    minimum_version: DottedNumber = ""
    minimum_system: Line = ""


class ReleaseDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The newest release. `notes` are Markdown; times have a zone."""

    number: Number
    published: Time
    expires: Time
    version: Version
    notes: Annotated[str, msgspec.Meta(max_length=100_000)] = ""
    artefacts: Annotated[tuple[Artefact, ...], msgspec.Meta(max_length=64)] = ()

    def require_sense(self) -> None:
        """ValueError for what cannot be meant."""
        if self.expires <= self.published:
            raise ValueError("it expires before it was published")
        if len({artefact.platform for artefact in self.artefacts}) < len(self.artefacts):
            raise ValueError("a platform is listed twice")
        for artefact in self.artefacts:
            if not is_safe_name(artefact.file_name):
                raise ValueError(f"{artefact.file_name!a} is no safe file name")
            if artefact.size_bytes == 0:
                raise ValueError(f"{artefact.file_name!a} is empty")
            require_address(artefact.url)

    def artefact_for(self, platform: str) -> Artefact | None:
        """The file for a platform; None where the release has none."""
        return next((artefact for artefact in self.artefacts if artefact.platform == platform), None)
