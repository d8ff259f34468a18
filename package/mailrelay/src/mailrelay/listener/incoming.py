"""Messages that are coming in, from BEGIN to the result of their commit.

Incoming is the message half of a connection; Intake hands the pieces to the sync threads and collects what became of
them. No sockets, no replies sent: `listener` does that with what it gets back.
"""

from __future__ import annotations

import errno

from mailrelay.core import counters, log
from mailrelay.listener import limits
from mailrelay.listener.recipients import Recipients
from mailrelay.smtp import replies
from mailrelay.spool import group_commit, space, spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailrelay.config.settings import Main
    from mailrelay.listener.connection import Connection
    from mailrelay.listener.journal import Journal
    from mailrelay.smtp.reply import Reply

PIECE = 65536  # bytes of a message held in memory before they go to the disk


class Incoming:
    """The message that one client is sending."""

    __slots__ = ("buffered", "busy", "chunks", "counted_at", "draft", "ended", "received", "refusal", "stored", "taken")

    def __init__(self) -> None:
        self.stored = 0  # messages of this client that were accepted
        self.busy = False  # a job of a draft is under way in a sync thread
        self.refusal: Reply | None = None  # the reply for a message whose draft is lost
        self.reset(None)

    def reset(self, draft: spool.Draft | None) -> None:
        """Begin anew: with that message, or with none."""
        self.draft = draft
        self.chunks: list[bytes] = []
        self.buffered = 0  # bytes in chunks
        self.received = 0  # bytes of the message so far
        self.taken = 0  # those of them that want room on the disk
        self.counted_at = 0.0  # when it was counted by the rate limit
        self.ended = False  # the end of the message was seen

    def take_chunks(self) -> list[bytes]:
        chunks, self.chunks, self.buffered = self.chunks, [], 0
        return chunks


class Intake:
    """The way of all messages to the disk."""

    def __init__(self, where: spool.Spool, main: Main, counted: memoryview, journal: Journal) -> None:
        self.spool = where
        self.capacity = space.Capacity(where, main.max_queue_size, main.min_free_space, main.max_message_size)
        self.recipients = Recipients(main)
        self.rates = limits.Rates()
        self.counters = counted
        self.journal = journal
        self.committing = 0  # messages that have ended and have no result yet

    def start(self) -> int:
        """Start the sync threads; return the descriptor that is readable when there is something to collect."""
        self.committer = group_commit.Committer(self.spool, self.capacity.make_room)
        self.capacity.start()
        return self.committer.fd

    def refresh(self, connection: Connection, now: float) -> None:
        """Tell the session what holds now."""
        commands = connection.session.commands
        self.capacity.look_at_failed()
        commands.room = self.capacity.room
        commands.throttled = self.rates.refusal(connection.client, connection.rate_limit, now)

    def begin(
        self,
        connection: Connection,
        sender: bytes,
        recipients: list[bytes],
        smtputf8: bool,
        eightbit: bool,
        *,
        now: float,
    ) -> None:
        final = self.recipients.expand(recipients)
        commands = connection.session.commands
        envelope = spool.Envelope(
            sender,
            final,
            connection.client,
            commands.helo,
            smtputf8=smtputf8,
            eightbit=eightbit,
            protocol=commands.protocol,
        )
        connection.incoming.reset(spool.Draft(self.spool, envelope))
        connection.incoming.refusal = None
        connection.incoming.counted_at = now
        self.rates.count(connection.client, connection.rate_limit, now)

    def add(self, connection: Connection, data: bytes) -> None:
        """Take the next bytes of a message. Those of a message that cannot be stored are read, but go nowhere."""
        incoming = connection.incoming
        incoming.received += len(data)
        if incoming.draft is not None and not incoming.refusal:
            incoming.chunks.append(data)
            incoming.buffered += len(data)
            incoming.taken += len(data)
            self.capacity.take(len(data))

    def end(self, connection: Connection) -> Reply | None:
        """Commit a message that is complete; return the answer if it is known already."""
        connection.incoming.ended = True
        self.committing += 1
        return self.advance(connection)

    def advance(self, connection: Connection) -> Reply | None:
        """Give the sync threads what there is, unless they still have a piece of this message.

        Return the answer to a message that has ended and cannot be stored.
        """
        incoming = connection.incoming
        draft = incoming.draft
        if incoming.busy or draft is None:
            return None
        if incoming.refusal:
            if not incoming.ended:
                return None
            self.committing -= 1
            self._forget(connection)
            return incoming.refusal
        incoming.busy = True
        job = self.committer.seal if incoming.ended else self.committer.write
        job(draft, incoming.take_chunks(), (connection, draft, incoming.ended))
        return None

    def collect(self) -> Iterator[tuple[Connection, Reply | None, str]]:
        """Take what the sync threads have done: each connection that may go on, the answer to its message if it
        has one, and the queue id if it is stored."""
        for (connection, draft, sealed), error in self.committer.collect():
            incoming = connection.incoming
            incoming.busy = False
            if incoming.draft is not draft:  # aborted meanwhile; another message may have begun
                self.committer.discard(draft)
                if incoming.ended or incoming.buffered >= PIECE:
                    yield connection, self.advance(connection), ""
                continue
            if error is not None:
                self._refuse(connection, draft, error)
            elif sealed:
                yield connection, self._accept(connection, draft), draft.id
                continue
            yield connection, self.advance(connection), ""

    def abort(self, connection: Connection, reason: str, size: int = 0) -> None:
        """Void the message that is coming in. size: bytes of it that came and were not added."""
        incoming = connection.incoming
        draft = incoming.draft
        received = incoming.received + size
        self._forget(connection)
        if draft is not None:
            self.journal.aborted(connection.client, draft.id, received, reason)
            if not incoming.busy and draft.size:
                self.committer.discard(draft)

    def _refuse(self, connection: Connection, draft: spool.Draft, error: OSError) -> None:
        self.journal.not_stored(connection.client, draft.id, error.strerror or "")
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        connection.incoming.refusal = replies.DISK_FULL if full else replies.NOT_STORED
        connection.incoming.take_chunks()
        if full:
            self.capacity.refresh()

    def _accept(self, connection: Connection, draft: spool.Draft) -> Reply:
        envelope = draft.envelope
        log.event(
            "accepted",
            id=draft.id,
            client=connection.client,
            from_=envelope.sender or "<>",
            to=b",".join(envelope.recipients),
            size=draft.size,
        )
        self.counters[counters.ACCEPTED] += 1
        incoming = connection.incoming
        self.capacity.settle(incoming.taken, stored=True)
        incoming.stored += 1
        self.committing -= 1
        incoming.reset(None)
        return replies.QUEUED.fill(draft.id)

    def _forget(self, connection: Connection) -> None:
        """Give back what a message without a 250 has used."""
        incoming = connection.incoming
        self.capacity.settle(incoming.taken, stored=False)
        if incoming.counted_at:
            self.rates.give_back(connection.client, incoming.counted_at)
        incoming.reset(None)
