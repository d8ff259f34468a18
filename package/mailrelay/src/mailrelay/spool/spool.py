"""The spool: one directory, one file a message, every change of state one atomic step.

Spool and Draft, a message being received, live here; `envelope` has the file's layout, `message` what is done with a
whole one. Who syncs when is the business of `group_commit` and `courier`. docs/dev/INTERNALS.md lists the states.
"""

from __future__ import annotations

import errno
import fcntl
import os

from mailrelay.core import clock
from mailrelay.spool.envelope import (
    DELIVERED,
    END,
    FAILED,
    MAGIC,
    PENDING,
    RECORD_END,
    Envelope,
    decode_record,
    netstring,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from mailrelay.spool.message import Message

__all__ = [
    "DELIVERED", "FAIL", "FAILED", "HOLD", "ID_LENGTH", "PENDING", "QUEUE", "STATES",
    "Busy", "Damaged", "Draft", "Envelope", "Message", "Spool", "arrival", "is_id", "write_all",
]  # fmt: skip

QUEUE, HOLD, FAIL = "queue", "hold", "failed"
STATES = (QUEUE, HOLD, FAIL)
_TMP = "tmp"
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
ID_LENGTH = 16


class Damaged(Exception):
    """A file in the spool is not a whole message: what is wrong with it, for the log."""

    state = ""  # that the file is in, where it was looked for in all


class Busy(Exception):
    """The message is locked: it is being delivered right now."""


class Draft:
    """A message being received: a file in tmp/ that nothing but its writer knows. Not for two threads at once."""

    __slots__ = ("_fd", "_spool", "envelope", "id", "size")

    def __init__(self, spool: Spool, envelope: Envelope) -> None:
        self._spool = spool
        self._fd = -1
        self.id = spool.new_id()
        self.envelope = envelope
        self.size = 0

    def write(self, chunks: list[bytes]) -> None:
        """Append to the message; the file is made at the first call."""
        self.size += sum(map(len, chunks))
        self._write(chunks)

    def seal(self, chunks: list[bytes]) -> None:
        """Append the last of it and the end mark, sync the file and rename it into the queue.

        It survives a power cut once the queue directory has been synced too, which is the caller's to do.
        """
        self.size += sum(map(len, chunks))
        self._write([*chunks, END % self.size])
        os.fsync(self._fd)
        os.close(self._fd)
        self._fd = -1
        os.rename(self._path(), self._spool.path(QUEUE, self.id))

    def _write(self, parts: list[bytes]) -> None:
        if self._fd < 0:
            self._fd = os.open(self._path(), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            parts = [self.envelope.encode(), *parts]
        write_all(self._fd, b"".join(parts))

    def discard(self) -> None:
        """Leave nothing behind, however far it came."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        for path in (self._path(), self._spool.path(QUEUE, self.id)):
            try:
                os.unlink(path)
            except OSError:
                pass

    def _path(self) -> str:
        return self._spool.path(_TMP, self.id)


class Spool:
    """The directory. Every method may raise OSError.

    `mount` is the mount point it lies under, "" where nobody says. While nothing is mounted there, what has the spool's
    path is not the spool: it has no room, and nobody looks into it.
    """

    def __init__(self, path: str, mount: str = "") -> None:
        self.root = path
        self.mount = mount
        self._lock = -1
        self._newest = 0  # the milliseconds of the last id

    def path(self, state: str, queue_id: str) -> str:
        return f"{self.root}/{state}/{queue_id}"

    def prepare(self) -> None:
        """Make the folders where they are missing and delete what was never acknowledged. Needs the lock."""
        for state in (_TMP, *STATES):
            os.makedirs(f"{self.root}/{state}", mode=0o700, exist_ok=True)
        for name in os.listdir(f"{self.root}/{_TMP}"):
            try:
                os.unlink(f"{self.root}/{_TMP}/{name}")
            except OSError as error:  # a file system that was mounted read-only over its faults still shows what waits
                if error.errno != errno.EROFS:
                    raise

    def lock(self) -> bool:
        """Take the spool for this process and the children it forks; False if somebody else has it.

        The lock is on the directory itself and goes when the last holder has ended, however it ended.
        """
        fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        self._lock = fd
        return True

    def inherit_lock(self, other: Spool) -> bool:
        """Take the lock of `other` if that is on this directory; False if it is not."""
        try:
            same = other._lock >= 0 and os.path.samestat(os.fstat(other._lock), os.stat(self.root))
        except OSError:
            return False
        if same:
            self._lock, other._lock = other._lock, -1
        return same

    def unlock(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def open_directory(self, state: str) -> int:
        """Open a descriptor to fsync that state's directory with."""
        return os.open(f"{self.root}/{state}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def sync(self, state: str) -> None:
        fd = self.open_directory(state)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def ids(self, state: str) -> list[str]:
        """Return the queue ids in that state, oldest first."""
        try:
            return sorted(name for name in os.listdir(f"{self.root}/{state}") if is_id(name))
        except FileNotFoundError:
            return []

    def usage(self) -> int:
        """Return the bytes of all mail that can still be delivered; not of what is still coming in."""
        total = 0
        for state in (QUEUE, HOLD):
            try:
                with os.scandir(f"{self.root}/{state}") as entries:
                    for entry in entries:
                        try:
                            total += entry.stat(follow_symlinks=False).st_size
                        except FileNotFoundError:
                            pass
            except FileNotFoundError:
                pass
        return total

    def delete_failed(self, queue_id: str) -> bool:
        """Delete a failed message, unless somebody has it locked. OSError."""
        path = self.path(FAIL, queue_id)
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)  # whoever moves a message has it locked
        except BlockingIOError:
            return False
        finally:
            os.close(fd)
        return True

    def has(self, queue_id: str) -> bool:
        """Return whether the message is there, in whichever state."""
        return any(os.path.lexists(self.path(state, queue_id)) for state in STATES)

    def at_hand(self) -> bool:
        """Return false while the storage that it lies on is missing."""
        return not self.mount or os.path.ismount(self.mount)

    def free(self) -> int:
        """Return the bytes that this user may still write on the spool's file system; 0 if that is not there."""
        if not self.at_hand():
            return 0
        stats = os.statvfs(self.root)
        return stats.f_bavail * stats.f_frsize

    def new_id(self) -> str:
        """Make an id of 45 bits of milliseconds, which sort by arrival, and 35 random ones, in Crockford's base32."""
        now = int(clock.wall() * 1000)
        if 0 <= self._newest - now < 1000:  # two in one millisecond keep their order, too
            now = self._newest + 1
        self._newest = now
        number = (now & (1 << 45) - 1) << 35 | int.from_bytes(os.urandom(5), "big") >> 5
        return "".join([_ALPHABET[number >> shift & 31] for shift in range(75, -1, -5)])

    def open(self, queue_id: str, state: str = QUEUE) -> Message:
        """Open and lock the message. FileNotFoundError, Busy or Damaged."""
        from mailrelay.spool.message import Message  # for couriers and commands: the listener opens none

        return Message(self, state, queue_id)

    def peek(self, queue_id: str) -> tuple[str, int, float]:
        """Read, without a lock, whose turn a queued message takes: client, attempts and due. OSError or Damaged."""
        fd = os.open(self.path(QUEUE, queue_id), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            head = os.read(fd, 1024)
        finally:
            os.close(fd)
        try:
            at = RECORD_END
            for _ in range(5):
                field, at = netstring(head, at)
        except (ValueError, EOFError):
            raise Damaged("its envelope cannot be read") from None
        attempts, due, _ = decode_record(head[len(MAGIC) : RECORD_END])
        return field.decode("ascii", "replace"), attempts, due

    def submit(self, envelope: Envelope, chunks: Iterable[bytes]) -> str:
        """Put one message into the queue and return its id once it would survive a power cut."""
        draft = Draft(self, envelope)
        try:
            for chunk in chunks:
                draft.write([chunk])
            draft.seal([])
            self.sync(QUEUE)
        except BaseException:
            draft.discard()
            raise
        return draft.id


def is_id(name: str) -> bool:
    """Return whether new_id() could have made it, so that no name from a user leaves the spool."""
    return len(name) == ID_LENGTH and all(char in _ALPHABET for char in name)


def arrival(queue_id: str) -> float:
    """Return the wall time, in seconds, that new_id() put into an id."""
    number = 0
    for char in queue_id[:9]:
        number = number << 5 | _ALPHABET.index(char)
    return number / 1000


def write_all(fd: int, data: bytes) -> None:
    """Write however many calls it takes. OSError."""
    written = os.write(fd, data)
    while written < len(data):
        written += os.write(fd, data[written:])
