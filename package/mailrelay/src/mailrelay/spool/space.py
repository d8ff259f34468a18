"""How many bytes a message may have now: the queue's limit and the disk's free space, without asking a disk for each.

listener/incoming.py counts by it, and the listener hands `room` to each session, for SIZE and the 452 of NO_ROOM. The
loop never waits for a disk here: what leaves the spool is noticed by looking again, in a thread.
"""

from __future__ import annotations

import _thread

from mailrelay.core import log
from mailrelay.spool import spool

_SOON, _LATE = 2.0, 60.0  # seconds between two looks: from the first, doubling to the second while nothing changes


class Capacity:
    """`room` is always there to be read."""

    def __init__(self, where: spool.Spool, limit: int, reserve: int, wanted: int) -> None:
        """Take sizes in bytes; limit 0: a quarter of what there is. With less room than `wanted` it looks for more."""
        self._spool = where
        self._limit = limit
        self._reserve = reserve
        self._wanted = wanted
        self._used = 0
        self._coming = 0  # of messages that are coming in
        self._look_due = 0.0
        self._pause = _SOON
        self._looking = False
        self.room = 0

    def start(self) -> None:
        """Measure before the first client is served. Without a limit, a quarter of what is free or used already."""
        try:
            self._used = self._spool.usage()
            if not self._limit:
                self._limit = (self._spool.free() + self._used) // 4
        except OSError as error:  # whoever serves nobody leaves them waiting for an answer
            log.event("no-spool", log.ERROR, path=self._spool.root, reason=error.strerror)
        self._update()

    def take(self, size: int) -> None:
        """Count bytes of a message that have come in; all that come in at a time share the room."""
        self._coming += size
        self.room -= size

    def settle(self, size: int, *, stored: bool) -> None:
        """Note the end of a message of that size. The room of one that is not stored is back at the next tick."""
        self._coming -= size
        if stored:
            self._used += size + 1024  # the envelope, and some of what the file system adds
            self.room -= 1024
            self._pause = _SOON

    def refresh(self) -> None:
        """Look again soon: something failed for want of room."""
        self._look_due = 0.0
        self.room = 0

    def tick(self, now: float) -> None:
        """Look again when it is time; the loop calls it once a second."""
        self._update()
        if self.room < self._wanted and self._used and not self._looking and now >= self._look_due:
            self._look_due = now + self._pause
            self._looking = True
            _thread.start_new_thread(self._look, ())

    def _look(self) -> None:
        try:
            before = self._used
            used = self._spool.usage()
            self._pause = min(self._pause * 2, _LATE) if used == before else _SOON
            self._used += used - before  # and not "= used": more may have come in while it looked
        except OSError:
            pass
        finally:
            self._looking = False

    def _update(self) -> None:
        try:
            free = self._spool.free()
        except OSError:
            free = 0
        self.room = max(0, min(self._limit - self._used - self._coming, free - self._reserve))
