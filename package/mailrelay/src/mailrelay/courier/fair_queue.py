"""Whose mail goes next, and where it is to go: clients take turns, so that none of them, and no single message, keeps
the others waiting.

Knows queue ids and names only, no file and no clock: times are CLOCK_BOOTTIME seconds and passed in. Filled and emptied
by the courier.
"""

from __future__ import annotations

from collections import deque

from mailrelay.core.ipc import NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class ClientQueue:
    """What one client waits for: new mail in its order, and before the backlog."""

    __slots__ = ("backlog", "fresh", "sorted")

    def __init__(self) -> None:
        self.fresh: deque[str] = deque()
        self.backlog: list[tuple[int, str]] = []  # attempts, negative, and queue id
        self.sorted = True

    def next(self) -> str:
        """Return the next id; of the backlog what was tried least often, and of that the newest."""
        if self.fresh:
            return self.fresh.popleft()
        if not self.sorted:
            self.backlog.sort()
            self.sorted = True
        return self.backlog.pop()[1]


class FairQueue:
    """Every message that is due: its client's until it is its turn, then ready for one of the smarthosts.

    smarthosts: their names, the preferred one first. everything_due: whatever waits for a later time goes now.
    """

    def __init__(self, smarthosts: Iterable[str], *, everything_due: bool = False) -> None:
        self.next_due = NEVER  # when the first of the messages that have to wait is due
        self._everything_due = everything_due
        self._clients: dict[str, ClientQueue] = {}  # in the order of their turns
        self._ready: dict[str, deque[str]] = {name: deque() for name in smarthosts}

    def postpone(self, due: float) -> None:
        """Note that something has to wait until `due`."""
        self.next_due = min(self.next_due, due)

    def is_due(self, due: float, now: float) -> bool:
        """Return whether a message goes now; if not, it is noted when it will."""
        if due <= now or self._everything_due:
            return True
        self.postpone(due)
        return False

    def add(self, client: str, queue_id: str, attempts: int, *, fresh: bool) -> None:
        """Put one more into that client's queue; fresh: it has come in now."""
        queue = self._clients.setdefault(client, ClientQueue())
        if fresh:
            queue.fresh.append(queue_id)
        else:
            queue.backlog.append((-attempts, queue_id))
            queue.sorted = False

    def next(self) -> str | None:
        """Take one message of the client whose turn it is."""
        for client in self._clients:
            queue = self._clients.pop(client)
            queue_id = queue.next()
            if queue.fresh or queue.backlog:
                self._clients[client] = queue  # behind the others
            return queue_id
        return None

    def due(self) -> float:
        """Return when something is due: 0 while anything waits for its turn or its smarthost."""
        return 0.0 if self._clients or self.with_ready() else self.next_due

    def give_up(self, until: float) -> None:
        """Forget whatever waits for its turn: no smarthost may be tried before `until`."""
        self._clients.clear()
        self.postpone(until)

    def make_ready(self, smarthost: str, queue_id: str) -> None:
        """Put a message behind those that wait for this smarthost."""
        self._ready[smarthost].append(queue_id)

    def next_for(self, smarthost: str) -> str | None:
        """Take the next message that is ready for this smarthost, else one that may be for any."""
        ready = self._ready[smarthost]
        return ready.popleft() if ready else self.next()

    def with_ready(self) -> list[str]:
        """Return the smarthosts that something is ready for."""
        return [name for name, ready in self._ready.items() if ready]

    def take_back(self) -> list[str]:
        """Take all that is ready, whichever smarthost it waits for."""
        ids = [queue_id for ready in self._ready.values() for queue_id in ready]
        for ready in self._ready.values():
            ready.clear()
        return ids
