"""How many bytes a message may have now: the queue's limit and the disk's free space, without asking a disk for each.

listener/incoming.py counts by it, and the listener hands `room` to each session, for SIZE and the 452 of NO_ROOM. The
loop never waits for a disk here: what leaves the spool is noticed by looking again, in a thread. Failed mail takes no
room from what can still be delivered: it is deleted, the oldest first, when that would not fit otherwise.
"""

from __future__ import annotations

import _thread
import os

from mailrelay.core import clock, log
from mailrelay.spool import spool

_SOON, _LATE = 2.0, 60.0  # seconds between two looks: from the first, doubling to the second while nothing changes
_COARSE = 2.0  # seconds within which a file system may give two changes of a directory the same time
_SLACK = 16384  # bytes that a write may take on the disk beside its own


class Capacity:
    """`room` is always there to be read."""

    def __init__(self, where: spool.Spool, limit: int, reserve: int, wanted: int) -> None:
        """Take sizes in bytes; limit 0: a quarter of what there is. With less room than `wanted` it looks for more."""
        self._spool = where
        self._limit = limit
        self._reserve = reserve
        self._wanted = wanted
        self._used = 0  # of mail that can still be delivered
        self._coming = 0  # of messages that are coming in
        self._failed: dict[str, int] = {}  # queue id → bytes of failed mail that may be deleted, the oldest first
        self._failed_at = 0  # when the folder of failed mail was changed last, in nanoseconds; 0: not known
        self._deleting = _thread.allocate_lock()
        self._look_due = 0.0
        self._pause = _SOON
        self._looking = False
        self.room = 0

    def start(self) -> None:
        """Measure before the first client is served. Without a limit, a quarter of what is free or used already."""
        try:
            self._used = self._spool.usage()
            self._failed = self._find_failed({})
            if not self._limit:
                self._limit = (self._spool.free() + self._used + sum(self._failed.values())) // 4
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

    def look_at_failed(self) -> None:
        """Notice, before anything is refused for want of room, which mail has failed since the last look."""
        if self.room >= self._wanted:
            return
        try:
            changed = os.stat(f"{self._spool.root}/{spool.FAIL}").st_mtime_ns
            if changed == self._failed_at:
                return
            self._failed_at = changed if clock.wall() - changed / 1e9 > _COARSE else 0
            known = dict(self._failed)
            found = self._find_failed(known)
            for queue_id in known.keys() - found.keys():
                if os.path.exists(self._spool.path(spool.QUEUE, queue_id)):  # released
                    self._used += known[queue_id]
            self._used -= sum(found[queue_id] for queue_id in found.keys() - known.keys())
            self._failed = found
        except OSError:
            pass
        self._update()

    def make_room(self, size: int) -> None:
        """Delete failed mail as far as a write of that size wants it. For the sync threads: it waits for the disk."""
        if not self._failed:
            return
        with self._deleting:
            try:
                while self._failed and self._is_short(size):
                    self._delete_oldest()
            except OSError:
                pass  # the write itself will tell

    def _is_short(self, size: int) -> bool:
        held = self._used + self._coming + sum(list(self._failed.values()))
        return held > self._limit or self._spool.free() < self._reserve + size + _SLACK

    def _delete_oldest(self) -> None:
        queue_id = next(iter(self._failed))
        size = self._failed[queue_id]
        try:
            deleted = self._spool.delete_failed(queue_id)
        except FileNotFoundError:
            deleted = True
        except OSError as error:
            log.event("not-deleted", log.ERROR, id=queue_id, reason=error.strerror)
            deleted = False
        else:
            if deleted:
                log.event(
                    "expired", log.NOTICE, id=queue_id, text="failed mail, deleted to make room for mail to deliver"
                )
        if not deleted:
            self._used += size  # it stays, and takes room as other mail does
        self._failed.pop(queue_id, None)

    def _find_failed(self, known: dict[str, int]) -> dict[str, int]:
        """Return what `_failed` is to be. known: what it is; only the size of what is new is asked for."""
        found = {}
        for queue_id in self._spool.ids(spool.FAIL):
            try:
                path = self._spool.path(spool.FAIL, queue_id)
                found[queue_id] = known.get(queue_id) or os.stat(path, follow_symlinks=False).st_size
            except FileNotFoundError:
                pass
        return found

    def _look(self) -> None:
        try:
            before, failed = self._used, self._failed
            used = self._spool.usage()
            if self._failed is not failed:  # and `used` with it
                return
            self._pause = min(self._pause * 2, _LATE) if used == before else _SOON
            self._used += used - before  # and not "= used": more may have come in while it looked
        except OSError:
            pass
        finally:
            self._looking = False

    def _update(self) -> None:
        try:
            free = self._spool.free() + sum(list(self._failed.values()))
        except OSError:
            free = 0
        self.room = max(0, min(self._limit - self._used - self._coming, free - self._reserve))
