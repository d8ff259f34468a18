"""What the listener knows of one client, and of clients over time: their limits, their login, and who was refused.

No sockets are read or written here; `listener` does that.
"""

from __future__ import annotations

import select
import time

from mailrelay.core import log
from mailrelay.smtp import auth

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket

    from mailrelay.config.settings import Client
    from mailrelay.smtp import server
    from mailrelay.spool import spool


_MANY = 1024  # clients whose minutes are kept before the old ones are cleared away


class Connection:
    """One client: its socket, its session, and the message it is sending."""

    __slots__ = (
        "born", "busy", "chunks", "client", "closing", "deaf", "doubt", "draft", "ended", "fd", "gone", "held",
        "interest", "marked_at", "mark", "out", "refusal", "rule", "session", "sock", "taken",
    )  # fmt: skip

    def __init__(self, sock: _socket.socket, client: str, session: server.Session, rule: Client | None) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.client = client
        self.session = session
        self.rule = rule
        self.out = b""
        self.interest = select.EPOLLIN
        self.draft: spool.Draft | None = None
        self.chunks: list[bytes] = []
        self.held = 0  # bytes in chunks
        self.taken = 0  # bytes of the message so far
        self.busy = False  # a job of the draft is under way in a sync thread
        self.ended = False  # the end of the message was seen
        self.refusal = b""  # the reply for a message whose draft is lost
        self.closing = False  # close once everything is sent
        self.gone = False  # the client will send nothing more
        self.deaf = False  # the client takes no replies; what it had sent before still counts
        self.doubt = 0.0  # when silence makes the doubtful dot the end
        self.born = self.marked_at = time.monotonic()
        self.mark = 0  # session.progress at marked_at

    def pace(self, now: float) -> float:
        """Progress a second so far: the lower, the sooner it makes room for somebody else."""
        return self.session.progress / max(now - self.born, 1.0)


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

    def refusal(self, connection: Connection) -> bytes | None:
        """The reply line for a client that has had its share, None for everybody else."""
        if connection.rule is None or not connection.rule.rate_limit:
            return None
        start, count = self._minutes.get(connection.client, (0.0, 0))
        if time.monotonic() - start >= 60:
            self._minutes.pop(connection.client, None)
            return None
        if count < connection.rule.rate_limit:
            return None
        return b"450 4.7.1 More than %d messages a minute from you, try again later\r\n" % connection.rule.rate_limit


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


def login_of(rule: Client | None) -> auth.Login | None:
    """What a client must show to send, by the rule for its address."""
    if rule is None:
        return None
    if rule.accept_any_login:
        return auth.ANY_LOGIN
    return (rule.username.encode(), rule.password.encode()) if rule.username else None
