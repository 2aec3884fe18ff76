"""Parse and format times within films."""

from __future__ import annotations

import re
from datetime import timedelta
from fractions import Fraction

TIME = r"(?:\d+:){0,2}\d+(?:\.\d+)?"
"""Pattern of a time, for `re.ASCII`: ``12.5``, ``1:12.5``, ``1:02:03``."""


# A time written to milliseconds may be nearly so much before the start of its frame, and a float of any time a little.
_ROUNDING = Fraction(1, 1000)


def moment(time: float) -> Fraction:
    """Return the moment, in seconds, at which a film shows the frame that ``time`` means, in seconds.

    Frames may begin at times that neither milliseconds nor floats can state, such as 3/5.
    """
    return Fraction(time) + _ROUNDING


def time_text(seconds: Fraction | float) -> str:
    """Return a time truncated to tenths of a second: ``0:01:23.4``."""
    tenths = int(seconds * 10)
    return f"{timedelta(seconds=tenths // 10)}.{tenths % 10}"


def seconds_of(text: str) -> Fraction:
    """Return the seconds in a `TIME`. Raises `ValueError` for anything else."""
    if not re.fullmatch(TIME, text, re.ASCII):
        raise ValueError(f"{text!r} is no time")
    seconds = Fraction(0)
    for part in text.split(":"):
        seconds = 60 * seconds + Fraction(part)
    return seconds
