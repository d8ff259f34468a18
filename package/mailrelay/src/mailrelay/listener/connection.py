"""What the listener knows of one client: its session, the message it is sending, and the login it has to show.

No sockets are read or written here; `listener` does that.
"""

from __future__ import annotations

import select
import time

from mailrelay.smtp import auth

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket

    from mailrelay.config.settings import Client
    from mailrelay.smtp import server
    from mailrelay.smtp.reply import Reply
    from mailrelay.spool import spool


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
        self.refusal: Reply | None = None  # the reply for a message whose draft is lost
        self.closing = False  # close once everything is sent
        self.gone = False  # the client will send nothing more
        self.deaf = False  # the client takes no replies; what it had sent before still counts
        self.doubt = 0.0  # when silence makes the doubtful dot the end
        self.born = self.marked_at = time.monotonic()
        self.mark = 0  # session.commands.progress at marked_at

    def pace(self, now: float) -> float:
        """Progress a second so far: the lower, the sooner it makes room for somebody else."""
        return self.session.commands.progress / max(now - self.born, 1.0)


def login_of(rule: Client | None) -> auth.Login | None:
    """What a client must show to send, by the rule for its address."""
    if rule is None:
        return None
    if rule.accept_any_login:
        return auth.ANY_LOGIN
    return (rule.username.encode(), rule.password.encode()) if rule.username else None
