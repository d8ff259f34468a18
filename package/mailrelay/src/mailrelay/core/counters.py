"""Counters that the roles share: one page of shared memory that the supervisor makes before it forks.

Each has a single process that writes it.
"""

from __future__ import annotations

import mmap

# What is counted since the supervisor's start. The first group is the listener's to write, the second the courier's.
ACCEPTED, REFUSED, ABORTED, CONNECTIONS, OVERFLOW = range(5)
DELIVERED, FAILED, DEFERRED = range(5, 8)
_BEGUN, _OVER = range(
    8, 10
)  # messages whose first attempt failed, and those of them that are not in the queue any more
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


def waiting(seen: list[int]) -> int:
    """Return, of totals, how many messages wait after a failed attempt."""
    return max(seen[_BEGUN] - seen[_OVER], 0)


def begin_waiting(counts: memoryview) -> None:
    """Count a message whose first attempt has failed."""
    counts[_BEGUN] += 1


def end_waiting(counts: memoryview) -> None:
    """Count one of them that leaves the queue."""
    counts[_OVER] += 1


def correct_waiting(counts: memoryview, number: int) -> None:
    """Make it `number`, as a look at all files shows: what the owner deletes or holds no courier has counted."""
    seen = totals(counts)
    more = number - (seen[_BEGUN] - seen[_OVER])
    counts[_BEGUN if more > 0 else _OVER] += abs(more)


def named(seen: list[int]) -> dict[str, int]:
    """Return totals by NAMES."""
    return {name: seen[place] for place, name in NAMES.items()}
