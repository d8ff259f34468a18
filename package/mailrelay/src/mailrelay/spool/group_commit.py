"""Sync threads: they write and fsync drafts side by side, and one directory sync covers all renames before it.

The listener's loop hands drafts in and collects results; it never waits for a disk. Nothing else uses this module.
"""

from __future__ import annotations

import _thread
import errno
import os
from _queue import SimpleQueue

from mailrelay.spool import spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    Token: TypeAlias = Any  # whatever the caller wants back with the result
    CommitResult: TypeAlias = "tuple[Token, OSError | None]"

THREADS = 4
_WRITE, _SEAL, _DISCARD = range(3)


class Committer:
    """Give it drafts with write() and seal(), one at a time for each draft; take results from collect().

    `fd` becomes readable when there is something to collect.
    """

    def __init__(
        self, where: spool.Spool, make_room: Callable[[int], None] = lambda _: None, threads: int = THREADS
    ) -> None:
        """make_room: called with the bytes of each write before it."""
        self._make_room = make_room
        self._jobs: SimpleQueue[tuple[int, spool.Draft, list[bytes], Token]] = SimpleQueue()
        self._lock = _thread.allocate_lock()
        self._renamed: list[tuple[spool.Draft, Token]] = []
        self._syncing = False
        self._done: list[CommitResult] = []
        try:
            self._queue_fd = where.open_directory(spool.QUEUE) if where.at_hand() else -1
        except OSError:
            self._queue_fd = -1  # there is no room either, or each fsync says so
        self.fd, self._bell = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        for _ in range(threads):
            _thread.start_new_thread(self._work, ())

    def write(self, draft: spool.Draft, chunks: list[bytes], token: Token) -> None:
        """Append to the draft; the result says that there is room for more."""
        self._jobs.put((_WRITE, draft, chunks, token))

    def seal(self, draft: spool.Draft, chunks: list[bytes], token: Token) -> None:
        """Append the last chunks and commit; a result without an error says that a power cut cannot take it."""
        self._jobs.put((_SEAL, draft, chunks, token))

    def discard(self, draft: spool.Draft) -> None:
        """Throw a draft away that no other job is under way for; there is no result."""
        self._jobs.put((_DISCARD, draft, [], None))

    def collect(self) -> list[CommitResult]:
        """Return the results since the last call. After an error the draft is gone."""
        try:
            os.read(self.fd, 4096)
        except BlockingIOError:
            pass
        with self._lock:
            done, self._done = self._done, []
        return done

    def _work(self) -> None:
        while True:
            job, draft, chunks, token = self._jobs.get()
            try:
                if job != _DISCARD:
                    self._make_room(sum(map(len, chunks)))
                if job == _SEAL:
                    draft.seal(chunks)
                    self._sync(draft, token)
                elif job == _WRITE:
                    draft.write(chunks)
                    self._finish([(token, None)])
                else:
                    draft.discard()
            except (OSError, MemoryError) as error:  # a thread that dies takes its client's answer along
                draft.discard()
                known = error if isinstance(error, OSError) else OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
                self._finish([(token, known)])

    def _sync(self, draft: spool.Draft, token: Token) -> None:
        """Commit as a group: the first thread here syncs for all whose renames came before each of its syncs."""
        with self._lock:
            self._renamed.append((draft, token))
            if self._syncing:
                return
            self._syncing = True
        while True:
            with self._lock:
                batch, self._renamed = self._renamed, []
                if not batch:
                    self._syncing = False
                    return
            failure: OSError | None = None
            try:
                os.fsync(self._queue_fd)
            except OSError as error:
                failure = error
                for draft, _ in batch:
                    draft.discard()
            self._finish([(token, failure) for _, token in batch])

    def _finish(self, results: list[CommitResult]) -> None:
        with self._lock:
            ring = not self._done
            self._done += results
        if ring:
            os.write(self._bell, b"\0")
