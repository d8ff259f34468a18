"""A message that lies in the spool, locked while it is looked at; its states are in docs/dev/INTERNALS.md.

Opened through `spool.Spool`. Reads the file format of `envelope` and changes it in place.
"""

from __future__ import annotations

import errno
import fcntl
import os

from mailrelay.spool.envelope import (
    END,
    END_SIZE,
    FAILED,
    MAGIC,
    PENDING,
    RECORD_END,
    Envelope,
    decode_record,
    encode_record,
    netstring,
)
from mailrelay.spool.spool import FAIL, QUEUE, Busy, Damaged, Spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class Message:
    """A whole message in the spool, locked against every other process until close().

    Without `lock` it is only to be looked at: it may be gone in the next moment.
    """

    __slots__ = (
        "_body", "_fd", "_lent", "_sent", "_spool", "_status", "answer", "attempts", "due", "envelope", "id", "inode",
        "size", "state", "statuses", "unrecorded",
    )  # fmt: skip

    def __init__(self, spool: Spool, state: str, queue_id: str, *, lock: bool = True) -> None:
        self._spool = spool
        self.state = state
        self.id = queue_id
        self._lent = b""  # what its head was when others were let at it
        self._sent = False  # its content is on its way
        self.unrecorded = False  # its statuses are others than the file's, which could not be written
        path = spool.path(state, queue_id)
        self._fd = os.open(path, (os.O_RDWR if lock else os.O_RDONLY) | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            if lock:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not os.path.exists(path):
                    raise FileNotFoundError(errno.ENOENT, "gone in the meantime", queue_id)
            stat = os.fstat(self._fd)
            self.inode = stat.st_ino
            self._read(stat.st_size)
        except BlockingIOError:
            os.close(self._fd)
            raise Busy(queue_id) from None
        except BaseException:
            os.close(self._fd)
            raise

    def _read(self, file_size: int) -> None:
        head = os.pread(self._fd, 4096, 0)
        if not head.startswith(MAGIC):
            raise Damaged("it does not begin like a message")
        while True:
            try:
                self._parse(head)
                break
            except EOFError:
                more = os.pread(self._fd, 1 << 20, len(head))
                if not more:
                    raise Damaged("its envelope is cut off") from None
                head += more
            except (ValueError, IndexError) as error:
                raise Damaged(f"its envelope cannot be read: {error}") from None
        self.size = file_size - self._body - END_SIZE
        if self.size < 0 or os.pread(self._fd, END_SIZE, file_size - END_SIZE) != END % self.size:
            raise Damaged("its end is missing")

    def _parse(self, head: bytes) -> None:
        self.attempts, self.due, self.answer = decode_record(head[len(MAGIC) : RECORD_END])
        fields: list[bytes] = []
        at = RECORD_END
        wanted = 9
        while len(fields) < wanted:
            field, at = netstring(head, at)
            fields.append(field)
            if len(fields) == 9:
                self._status = at - 1 - len(field)
                wanted += len(field)
        if head[at : at + 1] != b"\n":
            if at >= len(head):
                raise EOFError
            raise ValueError("no line end after the recipients")
        self._body = at + 1
        envelope = Envelope.__new__(Envelope)
        envelope.received = float(fields[0])
        envelope.boottime = float(fields[1])
        envelope.boot_id = fields[2].decode("ascii")
        envelope.clock_trusted = fields[3] == b"1"
        envelope.client = fields[4].decode("ascii", "replace")
        envelope.helo = fields[5]
        envelope.set_flags(fields[6])
        envelope.sender = fields[7]
        envelope.recipients = fields[9:]
        self.envelope = envelope
        self.statuses = [fields[8][i : i + 1] for i in range(len(fields[8]))]

    def pending(self) -> list[int]:
        """Return the places of the recipients that are still to be served."""
        return [i for i, status in enumerate(self.statuses) if status == PENDING]

    def chunks(self, size: int = 65536) -> Iterator[bytes]:
        """Yield the message as it came in over the wire, dots still stuffed."""
        at, end = self._body, self._body + self.size
        while at < end:
            chunk = os.pread(self._fd, min(size, end - at), at)
            if not chunk:
                raise Damaged("it shrank while it was read")
            at += len(chunk)
            yield chunk

    def begin_sending(self) -> None:
        """Note that its content goes out now, so that it is not lent any more. Raise Busy if another has it."""
        if not self.take_back():
            raise Busy(self.id)
        self._sent = True

    def lend(self) -> bool:
        """Let others open it if none of its content has gone. To be taken back before anything is recorded."""
        if not self._sent and not self._lent:
            self._lent = os.pread(self._fd, self._body, 0)
            fcntl.flock(self._fd, fcntl.LOCK_UN)
        return bool(self._lent)

    def take_back(self) -> bool:
        """Lock it again if it was lent. Return false if another has it or has changed it: then it is not ours."""
        if not self._lent:
            return True
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if os.path.exists(self._spool.path(self.state, self.id)) and os.pread(self._fd, self._body, 0) == self._lent:
            self._lent = b""
            return True
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        return False

    def set_statuses(self, statuses: list[bytes]) -> None:
        """Record what became of each recipient; on disk when this returns."""
        os.pwrite(self._fd, b"".join(statuses), self._status)
        os.fdatasync(self._fd)
        self.statuses = statuses
        self.unrecorded = False

    def note_attempt(self, attempts: int, due: float, answer: str) -> None:
        """Record an attempt that did not settle everything. due: CLOCK_BOOTTIME seconds of this boot.

        Not synced: a power cut loses a wait, never a message.
        """
        os.pwrite(self._fd, encode_record(attempts, due, answer), len(MAGIC))
        self.attempts, self.due, self.answer = attempts, due, answer

    def finish(self) -> None:
        """Delete it if all were delivered, else move it to failed/: nothing is pending. The caller syncs the queue."""
        if FAILED in self.statuses:
            self.move(FAIL)
        else:
            self.delete()

    def move(self, state: str) -> None:
        os.rename(self._spool.path(self.state, self.id), self._spool.path(state, self.id))
        self.state = state

    def delete(self) -> None:
        os.unlink(self._spool.path(self.state, self.id))
        self.unrecorded = False

    def release(self) -> None:
        """Put it back into the queue, due at once, failed recipients and all."""
        self.set_statuses([PENDING if status == FAILED else status for status in self.statuses])
        self.note_attempt(0, 0.0, "")
        if self.state != QUEUE:
            self.move(QUEUE)

    def close(self) -> None:
        os.close(self._fd)

    def __enter__(self) -> Message:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
