"""Date-times of header fields (RFC 5322 3.3): written in the machine's time zone, read to see whether one can be meant.

Not for people's terminals (cli/display) and not for the spool. headers is the only caller.
"""

from __future__ import annotations

import re
import time

_MONTHS = b"jan feb mar apr may jun jul aug sep oct nov dec".split()
_COMMENT = re.compile(rb"\([^()]*\)")
_DATE = re.compile(
    rb"\s*(?:(?:mon|tue|wed|thu|fri|sat|sun)\s*,)?\s*(\d{1,2})\s+(" + b"|".join(_MONTHS) + rb")\s+(\d{2,4})"
    rb"\s+(\d{1,2})\s*:\s*(\d\d)(?:\s*:\s*(\d\d))?\s+(?:([+-])(\d\d)([0-5]\d)|[a-z]{1,5})\s*",
    re.IGNORECASE,
)
_LONGEST = 200  # octets of a value that are looked at
_FIRST = 1104537600  # 2005-01-01T00:00:00Z: a clock that was never set shows less
_LAST = 253402300799 - 50400  # 14 hours before the year 10000, in which no time zone is yet


def written(seconds: float) -> bytes:
    """Return a date-time in the machine's time zone; nothing here sets a locale in which it would read otherwise."""
    try:
        moment = time.localtime(min(max(seconds, 0), _LAST))
    except OverflowError:  # a C library whose time ends in 2038
        moment = time.localtime(2**31 - 1)
    hours, minutes = divmod(abs(moment.tm_gmtoff) // 60, 60)
    zone = f"{'-' if moment.tm_gmtoff < 0 else '+'}{hours:02}{minutes:02}"
    return time.strftime(f"%a, {moment.tm_mday} %b %Y %H:%M:%S {zone}", moment).encode()


def is_plausible(value: bytes, latest: float) -> bool:
    """Return whether a Date can be read, obsolete forms (RFC 5322 4.3) too, and lies between 2005 and `latest`."""
    match = _DATE.fullmatch(_COMMENT.sub(b" ", value)) if len(value) <= _LONGEST else None
    if not match:
        return False
    day, year, hour, minute, second = [int(match[group] or 0) for group in (1, 3, 4, 5, 6)]
    month = _MONTHS.index(match[2].lower()) + 1
    if len(match[3]) < 4:
        year += 1900 if len(match[3]) == 3 or year >= 50 else 2000
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    length = 30 + (month + month // 8) % 2 if month != 2 else 28 + leap
    if not (1 <= day <= length and hour < 24 and minute < 60 and second <= 60):
        return False
    before = year - (month < 3)  # Hatcher's count of days: the year begins in March
    days = 365 * before + before // 4 - before // 100 + before // 400 + (153 * ((month + 9) % 12) + 2) // 5 + day
    offset = (int(match[8]) * 60 + int(match[9])) * (-60 if match[7] == b"-" else 60) if match[7] else 0
    return _FIRST <= (days - 719469) * 86400 + hour * 3600 + minute * 60 + second - offset <= latest
