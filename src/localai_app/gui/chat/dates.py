"""Dates as people say them."""

from __future__ import annotations

from datetime import datetime


def relative_date(then_s: float, now_s: float) -> str:
    """now, 5 min ago, 14:05, yesterday, Friday, 12 Nov, 12 Nov 2024; times are seconds since the epoch, shown in local time."""
    then, now = datetime.fromtimestamp(then_s), datetime.fromtimestamp(now_s)
    age_s = now_s - then_s
    if age_s < 60:
        return "now"
    if age_s < 3600:
        return f"{int(age_s // 60)} min ago"
    days = (now.date() - then.date()).days
    if days == 0:
        return then.strftime("%H:%M")
    if days == 1:
        return "yesterday"
    if days < 7:
        return then.strftime("%A")
    return f"{then.day} {then.strftime('%b')}" if then.year == now.year else f"{then.day} {then.strftime('%b %Y')}"
