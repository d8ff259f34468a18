"""What the listener counts of clients over time: how many messages each has sent, and who was refused."""

from __future__ import annotations

import time

from mailrelay.core import log
from mailrelay.smtp import replies

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailrelay.listener.connection import Connection
    from mailrelay.smtp.reply import Reply

_MANY = 1024  # clients whose minutes are kept before the old ones are cleared away


class Rates:
    """How many messages each client with a limit has sent in its current minute."""

    def __init__(self) -> None:
        self._minutes: dict[str, tuple[float, int]] = {}  # client → start of its minute, messages in it

    def count(self, connection: Connection) -> None:
        """One more was accepted."""
        if connection.rule is not None and connection.rule.rate_limit:
            if len(self._minutes) >= _MANY:  # a rule for a network may meet any number of addresses
                fresh = time.monotonic() - 60
                self._minutes = {client: seen for client, seen in self._minutes.items() if seen[0] > fresh}
            start, count = self._minutes.get(connection.client, (time.monotonic(), 0))
            self._minutes[connection.client] = (start, count + 1)

    def refusal(self, connection: Connection) -> Reply | None:
        """The reply for a client that has had its share, None for everybody else."""
        if connection.rule is None or not connection.rule.rate_limit:
            return None
        start, count = self._minutes.get(connection.client, (0.0, 0))
        if time.monotonic() - start >= 60:
            self._minutes.pop(connection.client, None)
            return None
        if count < connection.rule.rate_limit:
            return None
        return replies.TOO_MANY_MESSAGES.fill(connection.rule.rate_limit)


class Refusals:
    """What a client is refused is logged at once, then counted and summed up once a minute, for a bounded number."""

    # Replies that keep a mail out; what is wrong with a command alone is between the client and us.
    _CODES = frozenset([b"450", b"451", b"452", b"530", b"535", b"550", b"552", b"553", b"554"])

    def __init__(self) -> None:
        self._seen: dict[tuple[str, bytes], int] = {}
        self._since = time.monotonic()

    def note(self, client: str, reply: bytes) -> bool:
        """Take down a reply; True if it is a refusal. Of replies to pipelined commands the first counts."""
        if reply[:3] not in self._CODES:
            return False
        key = client, reply.partition(b"\r\n")[0]
        if key in self._seen:
            self._seen[key] += 1
        elif len(self._seen) < 64:
            self._seen[key] = 0
            log.event("refused", log.NOTICE, client=client, reply=key[1])
        return True

    def tick(self, now: float) -> None:
        if now - self._since >= 60:
            self._since = now
            for (client, reply), again in self._seen.items():
                if again:
                    log.event("refused", log.NOTICE, client=client, reply=reply, again=again)
            self._seen = {}
