"""What was counted on each of the last days, by the machine's clock: for the status, across restarts and reboots.

Kept in the spool's folder, which lies where the owner wants mail to outlast a reboot. That folder is not root's: root
only reads there, a plain file of the spool's owner, and a child with that one's rights writes it. `status` says when.
"""

from __future__ import annotations

import os
import stat
import time

from mailrelay.core import clock, log
from mailrelay.core.counters import NAMES

_FILE = "days"
_SHOWN = 7
_KEPT = 14  # while nothing vouches for the clock, which may show days that never were
_DAY = 86400.0
_MOST_BYTES, _MOST = 8192, 10**12


class Days:
    """Today's counts, since midnight or the relay's start, and those before. seen: counters.totals."""

    __slots__ = ("_base", "_date", "_past", "_since")

    def __init__(self, seen: list[int], now: float) -> None:
        self._past: dict[str, dict[str, int]] = {}  # by day, 2026-11-30; of today what was counted before `_base`
        self._base, self._date, self._since = seen, _date(now), now

    def restore(self, text: bytes) -> None:
        """Take what encode() returned in an earlier relay, maybe of another version; leave out what is no day."""
        for line in text.decode("ascii", "replace").splitlines():
            try:
                day, *words = line.split()
                counts = {name: int(value) for name, _, value in [word.partition("=") for word in words]}
            except ValueError:
                continue
            digits = day.replace("-", "")
            if (
                len(day) == 10
                and len(digits) == 8
                and digits.isdigit()
                and all(0 <= n < _MOST for n in counts.values())
            ):
                self._past[day] = counts

    def begin(self, seen: list[int]) -> None:
        """Count from `seen` on: what was counted until then is an earlier relay's."""
        self._base = seen

    def turn(self, seen: list[int], now: float) -> bool:
        """Return whether another day has begun, or the clock was set to one; then count from `seen` on."""
        if _date(now) == self._date:
            return False
        self._past[self._date] = self.today(seen)
        local = time.localtime(now)
        self._base, self._date = seen, _date(now)
        self._since = now - (local.tm_hour * 60 + local.tm_min) * 60 - local.tm_sec
        first = _date(now - (_SHOWN - 1) * _DAY) if clock.trusted() else ""
        kept = [day for day in sorted(self._past) if day >= first][-_KEPT:]
        self._past = {day: self._past[day] for day in kept}
        return True

    def today(self, seen: list[int]) -> dict[str, int]:
        """Return today's counts by NAMES, and `since` in seconds since 1970."""
        before = self._past.get(self._date, {})
        counts = {name: seen[place] - self._base[place] + before.get(name, 0) for place, name in NAMES.items()}
        return {"since": min(int(self._since), before.get("since", int(self._since))), **counts}

    def facts(self, seen: list[int], now: float) -> list[dict[str, int | str]]:
        """Return day and counts of the last days that something is known of, today's last."""
        days = {**self._past, self._date: self.today(seen)}
        first = _date(now - (_SHOWN - 1) * _DAY)
        return [
            {"day": day, **{name: days[day].get(name, 0) for name in NAMES.values()}}
            for day in sorted(days)
            if first <= day <= self._date
        ]

    def encode(self, seen: list[int]) -> bytes:
        """Return all of it in lines of words, for restore()."""
        days = {**self._past, self._date: self.today(seen)}
        lines = [" ".join([day, *[f"{name}={count}" for name, count in days[day].items()]]) for day in sorted(days)]
        return "".join([f"{line}\n" for line in lines]).encode()


def _date(now: float) -> str:
    return "{:04}-{:02}-{:02}".format(*time.localtime(now)[:3])


def read(root: str) -> bytes:
    """Return what write() left in the spool, b"" if nothing of its owner's. Follows no link and waits for nothing."""
    try:
        fd = os.open(f"{root}/{_FILE}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        file = os.fstat(fd)
        ours = stat.S_ISREG(file.st_mode) and file.st_uid == os.stat(root).st_uid
        return os.read(fd, _MOST_BYTES) if ours else b""
    except OSError:
        return b""
    finally:
        os.close(fd)


def write(root: str, text: bytes) -> None:
    """Replace it, so that a power cut leaves the old one or the new one. As the spool's owner, under its lock."""
    draft = f"{root}/tmp/{_FILE}"  # where whatever is left over goes at the next start
    try:
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, text)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(draft, f"{root}/{_FILE}")
    except OSError as error:
        log.event("no-days", log.WARNING, reason=error.strerror, text="the last days' counts are not kept")
