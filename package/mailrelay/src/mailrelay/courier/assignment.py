"""Which message goes to which smarthost next: what the queue's turns, the routes and, of a second courier, its limits
make of each other.

Opens messages to find out, and sends none. Called by the courier.
"""

from __future__ import annotations

from mailrelay.core import clock
from mailrelay.courier import second

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailrelay.config.settings import Smarthost
    from mailrelay.courier.fair_queue import FairQueue
    from mailrelay.courier.opener import Opener
    from mailrelay.courier.recorder import Recorder
    from mailrelay.courier.routing import Routes
    from mailrelay.spool.message import Message


class Assignment:
    """Of one courier. busy, state: of a second one, as second.choice takes them."""

    def __init__(
        self,
        smarthosts: dict[str, Smarthost],
        queue: FairQueue,
        routes: Routes,
        opener: Opener,
        recorder: Recorder,
        busy: str,
        state: str,
    ) -> None:
        self._smarthosts = smarthosts
        self._queue = queue
        self._routes = routes
        self._opener = opener
        self._recorder = recorder
        self._busy, self._state = busy, state

    def next_smarthost(self) -> Smarthost | None:
        """Return one that something is ready for and that may be tried; look into the next messages to find out."""
        while True:
            now = clock.boottime()
            for name in self._queue.with_ready():
                if self._routes.available_at(self._smarthosts[name]) <= now:
                    return self._smarthosts[name]
            ids = self._queue.take_back()
            if not ids:
                queue_id = self._queue.next()
                if queue_id is None:
                    return None
                available_at = self._routes.first_available_at(now)
                if available_at > now:
                    self._queue.give_up(available_at)
                    return None
                ids = [queue_id]
            self.reassign(ids)

    def reassign(self, ids: list[str]) -> None:
        """Find a smarthost for each of these; the one that they waited for is left alone now."""
        for queue_id in ids:
            message = self._opener.open(queue_id)
            if message is not None:
                self.assign(message)

    def assign(self, message: Message) -> None:
        """Make a message ready for the smarthost that is to have it, or let it wait until there is one. Close it."""
        envelope, now = message.envelope, clock.boottime()
        with message:
            smarthost = self.choose(message, now)
            if not message.pending():
                self._recorder.record_again(message)
            elif smarthost is not None:
                self._queue.make_ready(smarthost.name, message.id)
            elif self._busy:
                if (available_at := self._routes.first_available_at(now, envelope)) > now:
                    self._queue.postpone(available_at)
            elif not self._routes.candidates(envelope.sender):
                self._recorder.fail(message, "5.7.1 No smarthost is set up for this sender")
            elif self._recorder.is_expired(message):
                self._recorder.give_up(message)
            else:
                self._queue.postpone(self._routes.first_available_at(now, envelope))

    def choose(self, message: Message, now: float) -> Smarthost | None:
        """Return the smarthost that this courier sends the message to now."""
        first = self._routes.choose(message.envelope, now)
        if not self._busy:
            return first
        other = self._routes.choose(message.envelope, now, without=self._busy)
        return second.choice(first, other, self._busy, self._state, message.size)
