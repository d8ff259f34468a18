"""What couriers that run side by side know together: lines of words, each by its name, in memory that they share.

The supervisor makes it before it forks them and does not look into it. It lives as long as the supervisor.
"""

from __future__ import annotations

import fcntl
import mmap
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_SIZE = 1 << 18
_RESERVATIONS = 1  # the first byte of the lock file that stands for a reservation; byte 0 is for the lines


class Ledger:
    """The lines: `with ledger as lines` keeps others out while they are changed. folder: where the lock is made."""

    def __init__(self, folder: str) -> None:
        path = f"{folder}/ledger.{os.getpid()}"
        self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        os.unlink(path)  # who was forked has it
        self._memory = mmap.mmap(-1, _SIZE)
        self._lines: dict[str, list[str]] = {}
        self._before = b""

    def __enter__(self) -> dict[str, list[str]]:
        fcntl.lockf(self._lock, fcntl.LOCK_EX, 1, 0)
        self._before = self._memory[: max(self._memory.find(b"\0"), 0)]
        self._lines = {}
        for line in self._before.decode("utf-8", "replace").splitlines():
            name, *words = line.split("\t")
            self._lines[name] = words
        return self._lines

    def __exit__(self, *_: object) -> None:
        after = _encode(self._lines)
        while len(after) >= _SIZE:
            del self._lines[next(iter(self._lines))]  # the oldest
            after = _encode(self._lines)
        if after != self._before:
            self._memory[: len(after) + 1] = after + b"\0"
        fcntl.lockf(self._lock, fcntl.LOCK_UN, 1, 0)

    def empty(self) -> bool:
        """Return whether there is no line at all, as nearly always."""
        return self._memory[0] == 0

    def reserve(self, place: int) -> bool:
        """Keep place number `place` for this process until it ends or releases it. False if another one has it."""
        try:
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _RESERVATIONS + place)
        except OSError:
            return False
        return True

    def release(self, place: int) -> None:
        fcntl.lockf(self._lock, fcntl.LOCK_UN, 1, _RESERVATIONS + place)


def _encode(lines: dict[str, Sequence[str]] | dict[str, list[str]]) -> bytes:
    return "".join(["\t".join((name, *words)) + "\n" for name, words in lines.items()]).replace("\0", "").encode()
