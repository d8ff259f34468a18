"""The listeners: the one that accepts connections, and those before it whose sessions come to their end.

The supervisor forks them. Knows pids, and says when the next one is due.
"""

from __future__ import annotations

import os

from mailrelay.core import log
from mailrelay.core.ipc import NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal  # as in processes

_PAUSE = 1.0  # seconds between two starts, at least


class Listeners:
    """`outdated`: the one that accepts has other settings or sockets than it should. `misplaced`: another spool, too:
    what comes in over its sessions would lie where nobody looks, so they are not waited for."""

    def __init__(self) -> None:
        self.outdated = self.misplaced = False
        self._pid = 0  # of the one that accepts; 0: there is none
        self._draining: set[int] = set()
        self._start_due = 0.0

    def pids(self) -> list[int]:
        return [pid for pid in (self._pid, *self._draining) if pid]

    def next_due(self) -> float:
        """Return when to start one if nothing else happens."""
        return self._start_due if self.outdated or not self._pid else NEVER

    def started(self, pid: int | None, now: float) -> None:
        """Take the new one, which the one before it gives way to. None: there was no process for it."""
        self._start_due = now + _PAUSE
        if pid is None:
            return
        if self._pid:
            os.kill(self._pid, signal.SIGUSR2)
            self._draining.add(self._pid)
        if self.misplaced:
            for earlier in self._draining:
                os.kill(earlier, signal.SIGTERM)
        self._pid, self.outdated, self.misplaced = pid, False, False

    def ended(self, pid: int, exit_code: int, expected: bool) -> bool:
        """Note that one of them has ended. Return whether it may have promised mail that it could not announce."""
        if pid in self._draining:
            self._draining.remove(pid)
            return bool(exit_code)
        self._pid = 0
        if not expected:
            log.event("listener-ended", log.ERROR, code=exit_code)
        return True
