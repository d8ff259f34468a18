"""Counters that the roles share: one page of shared memory that the supervisor makes before it forks.

Each has a single process that writes it.
"""

from __future__ import annotations

import mmap
import time

# What is counted since the supervisor's start. The first group is the listener's to write, the second the courier's.
ACCEPTED, REFUSED, ABORTED, CONNECTIONS, OVERFLOW = range(5)
DELIVERED, FAILED, DEFERRED = range(5, 8)
_SECOND = 128  # where those of a second courier begin
NAMES = {
    ACCEPTED: "accepted",
    REFUSED: "refused",
    ABORTED: "aborted",
    CONNECTIONS: "connections",
    DELIVERED: "delivered",
    FAILED: "failed",
    DEFERRED: "deferred",
}


class Day:
    """What was counted since midnight by the machine's clock, or since the start where that was later."""

    __slots__ = ("base", "date", "since")

    def __init__(self, seen: list[int], now: float) -> None:
        self.base, self.date, self.since = seen, time.localtime(now)[:3], now

    def turn(self, seen: list[int], now: float) -> bool:
        """Return whether another day has begun, or the clock was set to one; then count from `seen` on."""
        local = time.localtime(now)
        if local[:3] == self.date:
            return False
        midnight = now - (local.tm_hour * 60 + local.tm_min) * 60 - local.tm_sec
        self.base, self.date, self.since = seen, local[:3], midnight
        return True

    def counts(self, seen: list[int]) -> dict[str, float]:
        """Return the counts by NAMES, and `since` in seconds since 1970."""
        return {"since": self.since, **{name: seen[place] - self.base[place] for place, name in NAMES.items()}}

    def facts(self, seen: list[int]) -> dict[str, int | str]:
        """Return the counts by NAMES, and `day` as 2026-11-30."""
        day = "{:04}-{:02}-{:02}".format(*self.date)
        return {"day": day, **{name: seen[place] - self.base[place] for place, name in NAMES.items()}}


def counters() -> memoryview:
    """Make 64-bit counters, indexed by the names above, shared with every process forked later."""
    return memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("Q")


def of_second(counts: memoryview) -> memoryview:
    """Return those that a second courier writes in place of the first one's: two that add to one would lose some."""
    return counts[_SECOND:]


def totals(counts: memoryview) -> list[int]:
    """Return what was counted in all."""
    seen = counts.tolist()
    return [one + other for one, other in zip(seen[:_SECOND], seen[_SECOND:])]
