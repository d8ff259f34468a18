"""Opens the messages of the spool for the courier: what is due and nobody else's; what cannot be read waits or is set
aside.

Chooses no smarthost and records no outcome.
"""

from __future__ import annotations

import errno
import os

from mailrelay.core import clock, log
from mailrelay.spool import spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailrelay.config.settings import Main
    from mailrelay.courier.disk import Disk
    from mailrelay.courier.fair_queue import FairQueue
    from mailrelay.courier.notify import Notices
    from mailrelay.spool.message import Message

# What a disk says that is read-only, worn out, or gone; anything else that a file refuses may pass.
_BROKEN = (errno.EIO, errno.EROFS, errno.ENODEV, errno.ENXIO, errno.EUCLEAN, errno.EBADMSG, errno.ESTALE)


class Opener:
    """Opens for one courier. `queue` learns what is due, and when what has to wait will be.

    busy_wait: seconds after which to look again at what another process has.
    """

    def __init__(
        self, main: Main, where: spool.Spool, queue: FairQueue, notices: Notices, disk: Disk, busy_wait: float
    ) -> None:
        self._main = main
        self._spool = where
        self._queue = queue
        self._notices = notices
        self._disk = disk
        self._busy_wait = busy_wait

    def enqueue(self, queue_id: str, *, fresh: bool) -> bool:
        """Put a message into its client's queue if it is due. Return whether an attempt has failed."""
        try:
            client, attempts, due = self._spool.peek(queue_id)
        except FileNotFoundError:
            return False
        except (spool.Damaged, OSError) as error:
            self.unreadable(queue_id, error)
            return False
        if self._queue.is_due(due, clock.boottime()):
            self._queue.add(client, queue_id, attempts, fresh=fresh)
        return attempts > 0

    def open(self, queue_id: str) -> Message | None:
        """Open a message that may still be there, is due and is nobody else's."""
        try:
            message = self._spool.open(queue_id)
        except FileNotFoundError:
            return None
        except spool.Busy:
            self._queue.postpone(clock.boottime() + self._busy_wait)
            return None
        except (spool.Damaged, OSError) as error:
            self.unreadable(queue_id, error)
            return None
        self._disk.recall(message)
        if not self._queue.is_due(message.due, clock.boottime()):
            message.close()
            return None
        return message

    def unreadable(self, queue_id: str, error: Exception) -> None:
        """Let wait what the disk or the memory refuses; put a file that is no whole message where the owner sees it."""
        if isinstance(error, (spool.Busy, FileNotFoundError)):  # another courier has it
            return
        if isinstance(error, (OSError, MemoryError)):
            log.event("not-read", log.ERROR, id=queue_id, reason=getattr(error, "strerror", "out of memory"))
            if isinstance(error, OSError) and error.errno in _BROKEN:
                self._notices.disk(error.strerror or "")
            self._queue.postpone(clock.boottime() + self._main.retry_max)
        else:
            self._quarantine(queue_id, error)

    def _quarantine(self, queue_id: str, error: Exception) -> None:
        log.event("damaged", log.ERROR, id=queue_id, reason=error)
        self._notices.damaged(queue_id, str(error))
        try:
            os.rename(self._spool.path(spool.QUEUE, queue_id), self._spool.path(spool.FAIL, queue_id))
        except OSError:
            pass
