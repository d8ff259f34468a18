"""An SMTP session over a transport: the only places that wait for a server's answers, each wait with an end.

Starts nothing and decides nothing: smarthost says what is to be sent, and takes the session's events.
"""

from __future__ import annotations

from time import monotonic

from mailrelay.courier.failure import Failure
from mailrelay.courier.transport import is_our_timeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailrelay.courier.transport import Deadline, Transport
    from mailrelay.smtp.client import Event, Session


class Dialogue:
    """limit: seconds for one reply; 64 KiB of content have three times as much, the answer to the dot ten times (the
    ratios of RFC 5321 4.5.3.2)."""

    def __init__(self, session: Session, transport: Transport, limit: float, deadline: Deadline) -> None:
        self.session = session
        self.limit = limit
        self._transport = transport
        self._deadline = deadline
        self._reply_due = 0.0  # for the reply that is awaited
        self._progress = -1  # of the session when that was set

    def exchange(self) -> list[Event]:
        """Send what the session has to say, and read once."""
        return self.write(self.session.take()) or self.read()

    def write(self, data: bytes) -> list[Event]:
        """Send `data`. Return events only if that fails: the connection is over then, maybe with a last answer."""
        session = self.session
        if not data or session.over:
            return []
        self._progress = -1
        try:
            self._transport.write(data, 3 * self.limit)
            return []
        except OSError as error:
            if is_our_timeout(error):
                return session.abandon("timeout", "the server stopped taking data")
        events: list[Event] = []
        until = monotonic() + 1.0
        while not session.over:
            try:
                events += session.receive(self._transport.read(until))
            except TimeoutError:
                events += session.receive(b"")
        return events

    def read(self) -> list[Event]:
        """Read once. The time limit is for the whole reply, however slowly it trickles in."""
        session = self.session
        if session.over:
            raise Failure("lost", "lost", "the connection is over")
        limit = self.limit * (10 if session.stage == "dot" else 1)
        if session.progress != self._progress:
            self._progress = session.progress
            self._reply_due = monotonic() + limit
        try:
            events = session.receive(self._transport.read(self._reply_due))
            if events or session.progress != self._progress or self._deadline.left(self._reply_due) > 0:
                return events
        except TimeoutError:
            pass
        return session.abandon("timeout", f"no answer within {limit:g} s")

    def read_early(self) -> list[Event]:
        """Return what answers content that is still on its way: a refusal, and there is no use in going on."""
        try:
            return self.session.receive(self._transport.read(monotonic())) if self._transport.readable() else []
        except TimeoutError:
            return []
