"""Whose mail goes next: clients take turns, so that none of them, and no single message, keeps the others waiting.

Knows queue ids only. Filled and emptied by the courier.
"""

from __future__ import annotations

from collections import deque


class Turn:
    """What one client waits for: new mail in its order, and before the backlog."""

    __slots__ = ("backlog", "fresh", "sorted")

    def __init__(self) -> None:
        self.fresh: deque[str] = deque()
        self.backlog: list[tuple[int, str]] = []  # attempts, negative, and queue id
        self.sorted = True

    def next(self) -> str:
        """Of the backlog what was tried least often, and of that the newest."""
        if self.fresh:
            return self.fresh.popleft()
        if not self.sorted:
            self.backlog.sort()
            self.sorted = True
        return self.backlog.pop()[1]


class FairQueue:
    """Every client's turn, in the order of theirs."""

    def __init__(self) -> None:
        self._turns: dict[str, Turn] = {}
        self._order: deque[str] = deque()  # clients, next one first

    def __bool__(self) -> bool:
        return bool(self._order)

    def add(self, client: str, queue_id: str, attempts: int, *, fresh: bool) -> None:
        """One more of that client waits; fresh: it has come in now."""
        turn = self._turns.get(client)
        if turn is None:
            turn = self._turns[client] = Turn()
            self._order.append(client)
        if fresh:
            turn.fresh.append(queue_id)
        else:
            turn.backlog.append((-attempts, queue_id))
            turn.sorted = False

    def next(self) -> str | None:
        """One message of each client in turn."""
        if not self._order:
            return None
        client = self._order[0]
        turn = self._turns[client]
        queue_id = turn.next()
        if turn.fresh or turn.backlog:
            self._order.rotate(-1)
        else:
            del self._turns[client]
            self._order.popleft()
        return queue_id

    def clear(self) -> None:
        self._turns.clear()
        self._order.clear()
