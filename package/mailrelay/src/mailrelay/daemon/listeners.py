"""The listeners: the newest, and those before it, which accept connections until it does and then come to their end.

The supervisor forks them. Knows pids, and says when the next one is due.
"""

from __future__ import annotations

import os

from mailrelay.core import log
from mailrelay.core.ipc import NEVER, read_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal  # as in processes

_PAUSE = 1.0  # seconds between two starts, at least


class Listeners:
    """`outdated`: the newest has other settings or sockets than it should. `misplaced`: another spool, too: what comes
    in over its sessions would lie where nobody looks, so they are not waited for. `ready_r`, `ready_w`: a pipe in
    which a listener says its pid once it is about to accept; on a small router that takes a while."""

    def __init__(self) -> None:
        self.outdated = self.misplaced = False
        self.ready_r, self.ready_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._pid = 0  # of the newest; 0: there is none
        self._accepting: set[int] = set()  # those before it until it is ready
        self._draining: set[int] = set()
        self._start_due = 0.0

    def pids(self) -> list[int]:
        return [pid for pid in (self._pid, *self._accepting, *self._draining) if pid]

    def next_due(self) -> float:
        """Return when to start one if nothing else happens."""
        return self._start_due if self.outdated or not self._pid else NEVER

    def started(self, pid: int | None, now: float) -> None:
        """Take the new one. None: there was no process for it."""
        self._start_due = now + _PAUSE
        if pid is None:
            return
        if self._pid:
            self._accepting.add(self._pid)
        if self.misplaced:
            self._end(signal.SIGTERM)
        self._pid, self.outdated, self.misplaced = pid, False, False

    def took_over(self) -> bool:
        """Read who is ready. Return whether it is the newest: those before it give way to it."""
        newest = str(self._pid) in read_lines(self.ready_r)
        if newest:
            self._end(signal.SIGUSR2)
        return newest

    def _end(self, number: int) -> None:
        """Have those before the newest accept no more: USR2 lets their sessions come to their end, TERM does not."""
        for pid in self._accepting | (self._draining if number == signal.SIGTERM else set()):
            os.kill(pid, number)
        self._draining |= self._accepting
        self._accepting = set()

    def ended(self, pid: int, exit_code: int, expected: bool) -> bool:
        """Note that one of them has ended. Return whether it may have promised mail that it could not announce."""
        for earlier in (self._accepting, self._draining):
            if pid in earlier:
                earlier.remove(pid)
                return bool(exit_code)
        self._pid = 0
        if not expected:
            log.event("listener-ended", log.ERROR, code=exit_code)
        return True
