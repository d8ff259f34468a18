"""One client of the listener: its socket, its session, and the message it is sending.

Reads and writes the socket without ever waiting. What is to be done when, `listener` says.
"""

from __future__ import annotations

import _socket
import select

from mailrelay.listener.incoming import PIECE, Incoming
from mailrelay.listener.limits import Pace
from mailrelay.smtp import auth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailrelay.config.settings import Client
    from mailrelay.smtp.server import Session

IN, OUT = select.EPOLLIN, select.EPOLLOUT
_NOTHING = select.EPOLLONESHOT  # not even that it was reset, more than once
_RECEIVE = 65536
_BACKLOG = 65536  # pipelined bytes held while a commit is under way, and bytes of replies


class Connection:
    __slots__ = (
        "client", "closing", "connected_at", "fd", "idle_at", "incoming", "interest", "out", "pace", "peer_closed",
        "rule", "session", "sock", "write_failed",
    )  # fmt: skip

    def __init__(self, sock: _socket.socket, client: str, session: Session, rule: Client | None, now: float) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.client = client
        self.session = session
        self.rule = rule
        self.out = b""  # to be sent
        self.interest = IN  # what epoll waits for
        self.incoming = Incoming()
        self.closing = False  # close once everything is sent
        self.peer_closed = False  # the client sends nothing more
        self.write_failed = False  # the client takes no replies; what it had sent before still counts
        self.idle_at = 0.0  # when silence makes the ambiguous dot the end
        self.connected_at = now
        self.pace = Pace(now)

    @property
    def rate_limit(self) -> int:
        """Return how many messages a minute it may send; 0: any number."""
        return self.rule.rate_limit if self.rule is not None else 0

    def read(self) -> bytes | None:
        """Return what has come, b"" at the end, None if there is nothing. Raise OSError."""
        try:
            return self.sock.recv(_RECEIVE)
        except BlockingIOError:
            return None

    def is_silent(self) -> bool:
        """Return whether there is nothing to read, and nobody has hung up."""
        try:
            self.sock.recv(1, _socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    def write(self, data: bytes) -> None:
        """Send what the socket takes; the rest stays in `out`."""
        out = self.out + data if self.out else data
        if out and not self.write_failed:
            try:
                sent = self.sock.send(out)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.write_failed = True
                sent = len(out)
            self.out = out[sent:]

    def awaited(self) -> int:
        """Return what epoll is to wait for: no input while the client is gone, or we are busy with a large message."""
        full = self.incoming.buffered >= PIECE or self.session.buffered > _BACKLOG or len(self.out) > _BACKLOG
        reading = 0 if full or self.peer_closed or self.closing else IN
        return reading | (OUT if self.out else 0) or _NOTHING


def login_of(rule: Client | None, mode: str) -> auth.Login | None:
    """Return what a client must or may show, None where no login is offered. mode: option `login`."""
    if rule is not None and rule.username:
        return rule.username.encode(), rule.password.encode()
    if mode == "any" or (mode == "listed" and rule is not None and rule.accept_any_login):
        return auth.ANY_LOGIN
    return None
