"""Counters that the roles share, and the status file that everyone may read.

The counters lie in one page of shared memory that the supervisor makes before it forks; each has a single role that
writes it. The supervisor alone writes the file; `admin` and the web interface read it.
"""

from __future__ import annotations

import mmap
import os
import time
from _json import encode_basestring_ascii

import log
import spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# In the run directory:
FILE = "status.json"
CONTROL = "control"  # a FIFO: "flush" or a queue id, a line each
ACCEPTED_CONFIG = "config"  # the settings that the relay runs by, readable by its starter alone

# What is counted since the supervisor's start. The first group is the listener's to write, the second the courier's.
ACCEPTED, REFUSED, ABORTED, CONNECTIONS, OVERFLOW = range(5)
DELIVERED, FAILED, DEFERRED = range(5, 8)
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
        """Whether another day has begun, or the clock was set to one; then it counts from `seen` on."""
        local = time.localtime(now)
        if local[:3] == self.date:
            return False
        midnight = now - (local.tm_hour * 60 + local.tm_min) * 60 - local.tm_sec
        self.base, self.date, self.since = seen, local[:3], midnight
        return True

    def counts(self, seen: list[int]) -> dict[str, float]:
        """By NAMES, and `since` in seconds since 1970."""
        return {"since": self.since, **{name: seen[place] - self.base[place] for place, name in NAMES.items()}}


def counters() -> memoryview:
    """64-bit counters, indexed by the names above, shared with every process forked later."""
    return memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("Q")


def dump(value: Any) -> str:
    """JSON of plain values. The json package would cost the supervisor half a megabyte."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{dump(str(key))}: {dump(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(dump(item) for item in value) + "]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, int):
        return str(value)
    return encode_basestring_ascii(str(value))


def write(run_dir: str, status: dict[str, Any]) -> None:
    """Replace the status file in one step. Lost on a power cut, like everything in run_dir."""
    path = f"{run_dir}/{FILE}"
    try:
        with open(f"{path}.new", "w", encoding="ascii") as file:
            file.write(dump(status) + "\n")
        os.chmod(f"{path}.new", 0o644)
        os.rename(f"{path}.new", path)
    except OSError as error:
        log.event("no-status", log.WARNING, reason=error.strerror)


def remove(run_dir: str) -> None:
    """The relay ends: nobody is to think that it runs."""
    for name in (FILE, CONTROL):
        try:
            os.unlink(f"{run_dir}/{name}")
        except FileNotFoundError:
            pass


def open_control(run_dir: str) -> int:
    """Make the FIFO anew and open it: for the supervisor."""
    path = f"{run_dir}/{CONTROL}"
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    os.mkfifo(path, 0o600)
    return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def census(root: str) -> tuple[dict[str, int], str]:
    """How many messages are in each state, and the queue id of the oldest that waits ("" for none).

    Names only: the supervisor may be root, and the folders belong to somebody who is not.
    """
    counts = {}
    oldest = ""
    for state in spool.STATES:
        counts[state] = 0
        try:
            with os.scandir(f"{root}/{state}") as entries:
                for entry in entries:
                    counts[state] += 1
                    if state == spool.QUEUE and (not oldest or entry.name < oldest) and spool.is_id(entry.name):
                        oldest = entry.name
        except OSError:
            pass
    return counts, oldest


def stamp(root: str) -> list[int]:
    """When each state's directory was last changed: by whom ever, so that what the owner deletes is noticed too."""
    found = []
    for state in spool.STATES:
        try:
            found.append(os.stat(f"{root}/{state}").st_mtime_ns)
        except OSError:
            found.append(0)
    return found
