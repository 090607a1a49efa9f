"""Sizes of the window on a 4/8 grid, in device-independent pixels; type sizes grow with the text scale."""

from __future__ import annotations

from dataclasses import dataclass

SPACE_1 = 4
SPACE_2 = 8
SPACE_3 = 12
SPACE_4 = 16
SPACE_5 = 20
SPACE_6 = 24
SPACE_8 = 32
SPACE_11 = 44
SPACE_14 = 56

RADIUS_SMALL = 6
RADIUS_CONTROL = 8
RADIUS_CARD = 12
RADIUS_BUBBLE = 14

BADGE_PADDING = 2
CHIP_PADDING = 3
"""Above and below the word in a pill; a chip has a border of one pixel besides."""

RAIL_WIDTH = 208
RAIL_NARROW_WIDTH = 64
RAIL_WIDE_FROM = 760
"""The narrowest window, times the growth of the text, in which the rail has words beside its icons."""
TOOLBAR_HEIGHT = 56
STATUS_HEIGHT = 32
SIDEBAR_WIDTH = 248
READING_WIDTH = 680
"""Longest comfortable line of running text."""
BAR_HEIGHT = 6
ICON_SMALL = 16
ICON = 18
ICON_LARGE = 40

WINDOW_MINIMUM = (900, 600)
WINDOW_DEFAULT = (1280, 800)

MOTION_MS = 120
"""Longest animation; nothing moves for 150 ms or more."""


@dataclass(frozen=True, slots=True)
class TypeSizes:
    """Font sizes in pixels."""

    caption: int = 12
    body: int = 14
    lead: int = 16
    name: int = 17
    heading: int = 20
    title: int = 26
    code: int = 13

    def grown(self, pixels: int) -> int:
        """A size that belongs to text, such as an icon's, where the text is larger than normal."""
        return round(pixels * max(1.0, self.body / 14))


def type_sizes(scale_percent: int) -> TypeSizes:
    """The type sizes at a text scale of `scale_percent` (100 is the normal size)."""

    def scaled(size: int) -> int:
        return max(8, round(size * scale_percent / 100))

    plain = TypeSizes()
    return TypeSizes(
        caption=scaled(plain.caption), body=scaled(plain.body), lead=scaled(plain.lead), name=scaled(plain.name),
        heading=scaled(plain.heading), title=scaled(plain.title), code=scaled(plain.code))
