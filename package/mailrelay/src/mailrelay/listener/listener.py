"""The listener: one loop that speaks SMTP to the LAN and hands finished messages to the sync threads.

Owns sockets and time for the pure sessions of `smtp.server`. Runs as uid mailrelay in a child of the supervisor, knows
no smarthost's secret, and ends when the supervisor does.
"""

from __future__ import annotations

import _socket
import errno
import os
import select
import time

from mailrelay.config.settings import Settings
from mailrelay.core import counters, ipc, log
from mailrelay.core.net import Net
from mailrelay.listener.connection import Connection, login_of
from mailrelay.listener.limits import Rates, Refusals
from mailrelay.listener.recipients import Recipients
from mailrelay.smtp import replies, server
from mailrelay.spool import group_commit, space, spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable

    from mailrelay.smtp.reply import Reply
else:
    import _signal as signal  # signal and socket would cost a megabyte for their enums

IN, OUT = select.EPOLLIN, select.EPOLLOUT
_NOTHING = select.EPOLLONESHOT  # not even that it was reset, more than once
_RECEIVE = 65536
_PIECE = 65536  # bytes of a message held in memory before they go to the disk
_BACKLOG = 65536  # pipelined bytes held while a commit is under way
_YOUNG = 2.0  # seconds in which a connection may say its first words
_QUIET = 1.0  # seconds of silence that make a doubtful dot the end
_RATE_WINDOW = 30.0  # seconds over which the minimum data rate is measured, if command_timeout is not shorter
_FINISH = 2.0  # seconds that commits under way may take when we are told to end
_RETIRE = 60.0  # seconds that sessions of an old config may still take, if no message is coming in


class Listener:
    """Everything of one listener process. run() returns when it is told to end."""

    def __init__(
        self,
        settings: Settings,
        allow: list[Net],
        sockets: list[_socket.socket],
        where: spool.Spool,
        counters: memoryview,
        wake: int,
        lifeline: int,
    ) -> None:
        main = settings.main
        self.main = main
        self.allow = allow
        self.rules = [(Net.parse(client.address), client) for client in settings.clients]
        self.recipients = Recipients(main)
        self.policy = server.Policy(
            hostname=main.hostname,
            max_message_size=main.max_message_size,
            max_recipients=main.max_recipients,
            max_command_length=main.max_command_length,
            max_line_length=main.max_line_length,
            max_header_length=main.max_header_length,
            max_useless_commands=main.max_useless_commands,
            provider=settings.provider,
            refusal=self.recipients.refusal,
        )
        self.spool = where
        self.capacity = space.Capacity(where, main.max_queue_size, main.min_free_space, main.max_message_size)
        self.counters = counters
        self.wake = wake
        self.lifeline = lifeline
        self.epoll = select.epoll()
        self.doors = {sock.fileno(): sock for sock in sockets}
        self.connections: dict[int, Connection] = {}
        self.per_client: dict[str, int] = {}
        self.doubtful: set[Connection] = set()
        self.committing = 0
        self.rates = Rates()
        self.refused = Refusals()
        self.ending = 0.0  # monotonic time by which the process must have ended; 0: not ending
        self.retiring = 0.0  # monotonic time from which only mail is waited for that is coming in

    def run(self) -> None:
        self.committer = group_commit.Committer(self.spool)
        self.capacity.start()
        self.signal_r, signal_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(signal_w, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGUSR2):
            signal.signal(number, lambda *_: None)
        for sock in self.doors.values():
            sock.setblocking(False)
        special: dict[int, Callable[[], object]] = {
            self.lifeline: self.orphaned,
            self.committer.fd: self.collect,
            self.signal_r: self.on_signal,
        }
        for fd in (*self.doors, *special):
            self.epoll.register(fd, IN)
        next_sweep = time.monotonic() + 1.0
        while not self.ended():
            timeout = next_sweep - time.monotonic()
            if self.doubtful:
                timeout = min(timeout, min(one.doubt for one in self.doubtful) - time.monotonic())
            for fd, event in self.epoll.poll(max(timeout, 0.0)):
                connection = self.connections.get(fd)
                if connection is not None:
                    if event & OUT:
                        self.send(connection, b"")
                    if event & ~OUT:
                        self.read(connection)
                elif fd in special:
                    special[fd]()
                elif fd in self.doors:
                    self.admit(self.doors[fd])
            now = time.monotonic()
            for one in [one for one in self.doubtful if one.doubt <= now]:
                if not one.interest & IN or not self.silent(one):  # silence counts only while we listen
                    one.doubt = now + _QUIET
                    continue
                self.doubtful.discard(one)
                self.handle(one, one.session.on_idle())
            if now >= next_sweep:
                next_sweep = now + 1.0
                self.sweep(now)

    # Connections come and go.

    def admit(self, door: _socket.socket) -> None:
        for _ in range(64):
            try:
                fd, address = door._accept()  # type: ignore[attr-defined]
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    self.evict("")
                return
            sock = _socket.socket(fileno=fd)
            sock.setblocking(False)
            self.counters[counters.CONNECTIONS] += 1
            client: str = address[0]
            if self.per_client.get(client, 0) >= self.main.max_connections_per_client:
                self.evict(client)
            if len(self.connections) >= self.main.max_connections:
                self.evict("")
            rule = next((rule for net, rule in self.rules if net.contains(client)), None)
            allowed = client in ("127.0.0.1", "::1") or any(net.contains(client) for net in self.allow)
            session = server.Session(self.policy, client, allowed=allowed, login=login_of(rule))
            connection = Connection(sock, client, session, rule)
            self.connections[connection.fd] = connection
            self.per_client[client] = self.per_client.get(client, 0) + 1
            self.epoll.register(connection.fd, IN)
            self.answer(connection, session.greeting())

    def evict(self, client: str) -> None:
        """Make room: the least-progressing connection goes, of that client or of all; none that awaits its verdict."""
        now = time.monotonic()
        candidates = [
            one for one in self.connections.values() if (not client or one.client == client) and not one.session.waiting
        ]
        if not candidates:
            return
        useless = [one for one in candidates if one.session.commands.closing]  # strangers, who send no mail anyway
        grown = [one for one in candidates if now - one.born > _YOUNG]
        victim = min(useless or grown or candidates, key=lambda one: (one.pace(now), one.born))
        log.event("evicted", log.NOTICE, client=victim.client, seconds=f"{now - victim.born:.0f}")
        self.drop(victim, replies.TOO_MANY_CONNECTIONS)

    def drop(self, connection: Connection, reply: Reply) -> None:
        """Say a last word if the socket takes it at once, and close."""
        if not connection.out:
            try:
                connection.sock.send(reply.wire())
            except OSError:
                pass
        self.close(connection)

    def close(self, connection: Connection) -> None:
        """The socket goes. A message that is being committed still counts; any other goes with it."""
        if self.connections.pop(connection.fd, None) is None:
            return
        self.doubtful.discard(connection)
        left = self.per_client.pop(connection.client, 1) - 1
        if left:
            self.per_client[connection.client] = left
        connection.sock.close()
        connection.closing = connection.gone = True
        if connection.draft is not None and not connection.ended:
            self.abort(connection)

    # Bytes in, bytes out.

    def read(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(_RECEIVE)
        except BlockingIOError:
            return
        except OSError:
            self.close(connection)
            return
        if not data:
            connection.gone = True
            self.handle(connection, connection.session.disconnected())
            if connection.session.waiting:
                self.interest(connection)
            else:
                self.hang_up(connection)
            return
        session = connection.session
        session.commands.room = self.capacity.room
        session.commands.throttled = self.rates.refusal(connection)
        self.handle(connection, session.receive(data))

    def silent(self, connection: Connection) -> bool:
        """True if there is nothing to read, and nobody has hung up."""
        try:
            connection.sock.recv(1, _socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    def handle(self, connection: Connection, events: list[server.Event]) -> None:
        """Carry out what the session asks for."""
        for event in events:
            if event[0] == server.REPLY:
                self.answer(connection, event[1])
            elif event[0] == server.DATA:
                if connection.draft is not None and not connection.refusal:
                    connection.chunks.append(event[1])
                    connection.held += len(event[1])
                    connection.taken += len(event[1])
                    self.capacity.take(len(event[1]))
            elif event[0] == server.BEGIN:
                self.begin(connection, *event[1:])
            elif event[0] == server.END:
                connection.ended = True
                self.committing += 1
                self.advance(connection)
            elif event[0] == server.ABORT:
                self.abort(connection)
            else:
                self.hang_up(connection)
                return
        session = connection.session
        if session.ambiguous_end:
            connection.doubt = time.monotonic() + _QUIET
            self.doubtful.add(connection)
        elif self.doubtful:
            self.doubtful.discard(connection)
        if connection.held >= _PIECE and not connection.busy:
            self.advance(connection)
        if connection.fd in self.connections:
            self.interest(connection)

    def answer(self, connection: Connection, reply: bytes) -> None:
        """Say a reply; the owner hears of it if it keeps a mail out."""
        if reply[0] > 0x33 and self.refused.note(connection.client, reply):  # "4" or "5"
            self.counters[counters.REFUSED] += 1
        self.send(connection, reply)

    def send(self, connection: Connection, data: bytes) -> None:
        out = connection.out + data if connection.out else data
        if out and not connection.deaf:
            try:
                sent = connection.sock.send(out)
            except BlockingIOError:
                sent = 0
            except OSError:
                connection.deaf = True
                sent = len(out)
            connection.out = out[sent:]
        if not connection.out and connection.closing:
            self.close(connection)
        elif connection.out or connection.interest & OUT:
            self.interest(connection)

    def hang_up(self, connection: Connection) -> None:
        """Close as soon as all replies are out."""
        connection.closing = True
        if not connection.out:
            self.close(connection)

    def interest(self, connection: Connection) -> None:
        """Wait for what the connection can use now: no input while it is gone, full, or busy with a large message."""
        full = connection.held >= _PIECE or connection.session.buffered > _BACKLOG or len(connection.out) > _BACKLOG
        wanted = (0 if full or connection.gone or connection.closing else IN) | (OUT if connection.out else 0)
        wanted = wanted or _NOTHING
        if wanted != connection.interest:
            connection.interest = wanted
            self.epoll.modify(connection.fd, wanted)

    # A message comes in.

    def begin(
        self, connection: Connection, sender: bytes, recipients: list[bytes], smtputf8: bool, eightbit: bool
    ) -> None:
        envelope = spool.Envelope(
            sender,
            self.recipients.expand(recipients),
            connection.client,
            connection.session.commands.helo,
            smtputf8=smtputf8,
            eightbit=eightbit,
        )
        connection.draft = spool.Draft(self.spool, envelope)
        connection.chunks = []
        connection.held = 0
        connection.ended = False
        connection.refusal = None

    def advance(self, connection: Connection) -> None:
        """Give the sync threads what there is, unless they still have a piece of this message."""
        if connection.busy or connection.draft is None:
            return
        if connection.refusal:
            if connection.ended:
                self.verdict(connection, connection.refusal)
            return
        chunks, connection.chunks, connection.held = connection.chunks, [], 0
        connection.busy = True
        if connection.ended:
            self.committer.seal(connection.draft, chunks, (connection, connection.draft, True))
        else:
            self.committer.write(connection.draft, chunks, (connection, connection.draft, False))

    def collect(self) -> None:
        """Take the verdicts of the sync threads."""
        ids = []
        for (connection, draft, sealed), error in self.committer.collect():
            connection.busy = False
            if connection.draft is not draft:  # aborted meanwhile; another message may have begun
                self.committer.discard(draft)
                if connection.ended or connection.held >= _PIECE:
                    self.advance(connection)
                continue
            if error is not None:
                log.event("not-stored", log.ERROR, id=draft.id, client=connection.client, error=error.strerror)
                full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
                connection.refusal = replies.DISK_FULL if full else replies.NOT_STORED
                connection.chunks, connection.held = [], 0  # the rest is read, too, but goes nowhere
                if full:
                    self.capacity.refresh()
            elif sealed:
                ids.append(draft.id)
                self.accepted(connection, draft)
                continue
            self.advance(connection)
            if connection.fd in self.connections and not connection.closing:
                self.interest(connection)
        if ids:
            self.announce(ids)

    def accepted(self, connection: Connection, draft: spool.Draft) -> None:
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
        self.capacity.settle(connection.taken, stored=True)
        connection.taken = 0
        self.rates.count(connection)
        self.verdict(connection, replies.QUEUED.fill(draft.id))

    def verdict(self, connection: Connection, reply: Reply) -> None:
        """Answer the end of data, and go on with what the client has sent since."""
        self.committing -= 1
        self.forget(connection)
        if connection.fd not in self.connections or self.connections[connection.fd] is not connection:
            return
        connection.session.commands.room = self.capacity.room
        connection.session.commands.throttled = self.rates.refusal(connection)
        self.handle(connection, connection.session.commit_result(reply))
        if connection.gone and not connection.session.waiting:
            self.hang_up(connection)

    def abort(self, connection: Connection) -> None:
        """The message being received is void."""
        draft = connection.draft
        self.forget(connection)
        if draft is not None:
            self.counters[counters.ABORTED] += 1
            log.event("aborted", log.NOTICE, id=draft.id, client=connection.client, received=draft.size)
            if not connection.busy and draft.size:
                self.committer.discard(draft)

    def forget(self, connection: Connection) -> None:
        """This message is settled, or never will be."""
        self.capacity.settle(connection.taken, stored=False)
        connection.draft = None
        connection.chunks, connection.held, connection.taken, connection.ended = [], 0, 0, False

    def announce(self, ids: list[str]) -> None:
        """Tell the courier. A full pipe means that it is far behind: it looks into the directory then."""
        if not ipc.write_ids(self.wake, ids):
            self.counters[counters.OVERFLOW] = 1

    # Time passes.

    def sweep(self, now: float) -> None:
        """Once a second: who took too long, how much room there is, what to say of strangers."""
        for one in list(self.connections.values()):
            if one.session.waiting or one.held >= _PIECE:  # for a disk
                one.mark, one.marked_at = one.session.commands.progress, now
                continue
            if self.retiring and now >= self.retiring and not one.session.in_data:
                self.drop(one, replies.NEW_SETTINGS)
                continue
            elapsed = now - one.marked_at
            progress = one.session.commands.progress - one.mark
            if one.session.in_data:
                if elapsed < min(_RATE_WINDOW, self.main.command_timeout):
                    continue
                if progress < self.main.min_data_rate * elapsed:
                    self.drop(one, replies.TOO_SLOW)
                    continue
            elif not progress:
                if elapsed >= self.main.command_timeout:
                    self.drop(one, replies.TIMED_OUT)
                continue
            one.mark, one.marked_at = one.session.commands.progress, now
        self.capacity.tick(now)
        self.refused.tick(now)
        if self.ending and now >= self.ending:
            os._exit(0)

    def on_signal(self) -> None:
        numbers = os.read(self.signal_r, 64)
        if signal.SIGTERM in numbers:
            self.finish()
        elif signal.SIGUSR2 in numbers:
            self.retire()

    def finish(self) -> None:
        """No new connections; commits under way are answered, everybody else is told to come again."""
        self.ending = time.monotonic() + _FINISH
        self.shut_doors()
        for one in list(self.connections.values()):
            if not one.session.waiting:
                self.drop(one, replies.SHUTTING_DOWN)

    def retire(self) -> None:
        """A listener with a newer config has taken over; sessions that have begun may come to their end."""
        self.retiring = time.monotonic() + _RETIRE
        self.shut_doors()

    def shut_doors(self) -> None:
        for fd, sock in self.doors.items():
            self.epoll.unregister(fd)
            sock.close()
        self.doors = {}

    def ended(self) -> bool:
        return bool(self.ending or self.retiring) and not self.connections and not self.committing

    def orphaned(self) -> None:
        """The supervisor is gone: what has no 250 yet was never promised."""
        os._exit(1)
