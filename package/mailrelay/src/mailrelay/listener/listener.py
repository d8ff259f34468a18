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
from mailrelay.core import counters, ipc
from mailrelay.core.net import Net
from mailrelay.listener import limits
from mailrelay.listener.connection import IN, OUT, Connection, login_of
from mailrelay.listener.incoming import PIECE, Intake
from mailrelay.listener.journal import Journal
from mailrelay.smtp import replies, server

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable

    from mailrelay.smtp.reply import Reply
    from mailrelay.spool import spool
else:
    import _signal as signal  # signal and socket would cost a megabyte for their enums

_ACCEPTS = 64  # connections accepted before others get their turn
_IDLE = 3.0  # seconds of silence that make an ambiguous dot the end
_HUNG_UP = "the client hung up"
_FINISH = 2.0  # seconds that commits under way may take when we are told to end
_DRAIN = 60.0  # seconds that sessions of old settings may still take, if no message is coming in


class Listener:
    """Everything of one listener process. run() returns when it is told to end."""

    def __init__(
        self,
        settings: Settings,
        allow: list[Net],
        sockets: list[_socket.socket],
        where: spool.Spool,
        counters: memoryview,
        pipes: tuple[int, int, int],
    ) -> None:
        """pipes: those that take the ids of new mail and refusals, and the lifeline."""
        self.main = settings.main
        self.allow = allow
        self.rules = [(Net.parse(client.address), client) for client in settings.clients]
        self.wake, refused, self.lifeline = pipes
        self.journal = Journal(counters, refused, time.monotonic())
        self.intake = Intake(where, settings.main, counters, self.journal)
        self.policy = server.Policy(settings.main, provider=settings.provider, refusal=self.intake.recipients.refusal)
        self.counters = counters
        self.epoll = select.epoll()
        self.listening = {sock.fileno(): sock for sock in sockets}
        self.connections: dict[int, Connection] = {}
        self.per_client: dict[str, int] = {}
        self.ambiguous: set[Connection] = set()  # their message ends if they are silent
        self.ending = 0.0  # monotonic time by which the process must have ended; 0: not ending
        self.draining = 0.0  # monotonic time from which only mail is waited for that is coming in

    def run(self) -> None:
        special = self.start()
        next_sweep = time.monotonic() + 1.0
        while not self.ended():
            due = min([next_sweep, *(connection.idle_at for connection in self.ambiguous)])
            for fd, event in self.epoll.poll(max(due - time.monotonic(), 0.0)):
                connection = self.connections.get(fd)
                if connection is not None:
                    if event & OUT:
                        self.send(connection, b"")
                    if event & ~OUT:
                        self.read(connection)
                elif fd in special:
                    special[fd]()
                elif fd in self.listening:
                    self.accept(self.listening[fd])
            now = time.monotonic()
            self.end_ambiguous(now)
            if now >= next_sweep:
                next_sweep = now + 1.0
                self.sweep(now)

    def start(self) -> dict[int, Callable[[], object]]:
        """Watch everything; return what to call for the descriptors that are no connections."""
        results = self.intake.start()
        self.signals = _signal_pipe()
        for sock in self.listening.values():
            sock.setblocking(False)
        special: dict[int, Callable[[], object]] = {
            self.lifeline: self.orphaned,
            results: self.collect,
            self.signals: self.on_signal,
        }
        for fd in (*self.listening, *special):
            self.epoll.register(fd, IN)
        return special

    # Connections come and go.

    def accept(self, listening: _socket.socket) -> None:
        """Take new connections, and make room for them."""
        for _ in range(_ACCEPTS):
            try:
                fd, address = listening._accept()  # type: ignore[attr-defined]
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
            session = server.Session(self.policy, allowed=allowed, login=login_of(rule, self.main.login))
            connection = Connection(sock, client, session, rule, time.monotonic())
            self.connections[connection.fd] = connection
            self.per_client[client] = self.per_client.get(client, 0) + 1
            self.epoll.register(connection.fd, IN)
            self.handle(connection, [(server.REPLY, session.greeting())])

    def evict(self, client: str) -> None:
        """Make room: drop the least useful connection of that client, or of all for ""."""
        now = time.monotonic()
        victim = limits.least_useful([c for c in self.connections.values() if client in ("", c.client)], now)
        if victim is not None:
            self.refuse(victim, replies.TOO_MANY_CONNECTIONS, "evicted")

    def refuse(self, connection: Connection, reply: Reply, event: str = "refused") -> None:
        """Drop a connection and tell the owner of it."""
        commands = connection.session.commands
        sent = connection.incoming.stored and commands.content is None  # its mail, but for QUIT
        if not (sent and reply is replies.TIMED_OUT):
            self.journal.refused(connection.client, commands.said, reply, event)
        self.drop(connection, reply)

    def drop(self, connection: Connection, reply: Reply) -> None:
        """Send a last reply if the socket takes it at once, and close."""
        if not connection.out:
            connection.write(reply.wire())
        self.close(connection, str(reply))

    def close(self, connection: Connection, reason: str = _HUNG_UP) -> None:
        """Close the socket. A message that is being committed still counts; any other goes with it."""
        if self.connections.pop(connection.fd, None) is None:
            return
        self.ambiguous.discard(connection)
        left = self.per_client.pop(connection.client, 1) - 1
        if left:
            self.per_client[connection.client] = left
        connection.sock.close()
        connection.closing = connection.peer_closed = True
        if connection.incoming.draft is not None and not connection.incoming.ended:
            self.intake.abort(connection, reason)

    # Bytes in, bytes out.

    def read(self, connection: Connection) -> None:
        try:
            data = connection.read()
        except OSError as error:
            self.close(connection, os.strerror(error.errno or errno.ECONNRESET))
            return
        if data is None:
            return
        session = connection.session
        if data:
            self.intake.refresh(connection, time.monotonic())
            self.handle(connection, session.receive(data))
            return
        connection.peer_closed = True
        self.handle(connection, session.disconnected())
        if session.waiting:
            self.watch(connection)
        else:
            self.hang_up(connection)

    def handle(self, connection: Connection, events: list[server.Event]) -> None:
        """Carry out what the session asks for."""
        refusals = connection.session.commands.refusals
        for said, reply in refusals:
            self.journal.refused(connection.client, said, reply)
        refusals.clear()
        for event in events:
            if event[0] == server.REPLY:
                self.send(connection, event[1])
            elif event[0] == server.DATA:
                self.intake.add(connection, event[1])
            elif event[0] == server.BEGIN:
                self.intake.begin(connection, *event[1:], now=time.monotonic())
            elif event[0] == server.END:
                answer = self.intake.end(connection)
                if answer:
                    self.commit_result(connection, answer)
            elif event[0] == server.ABORT:
                self.intake.abort(connection, str(event[1] or _HUNG_UP), event[2])
            else:
                self.hang_up(connection)
                return
        if connection.session.ambiguous_end:
            connection.idle_at = time.monotonic() + _IDLE
            self.ambiguous.add(connection)
        elif self.ambiguous:
            self.ambiguous.discard(connection)
        if connection.incoming.buffered >= PIECE:
            self.intake.advance(connection)
        if connection.fd in self.connections:
            self.watch(connection)

    def send(self, connection: Connection, data: bytes) -> None:
        connection.write(data)
        if not connection.out and connection.closing:
            self.close(connection)
        elif connection.out or connection.interest & OUT:
            self.watch(connection)

    def hang_up(self, connection: Connection) -> None:
        """Close as soon as all replies are out."""
        connection.closing = True
        if not connection.out:
            self.close(connection)

    def watch(self, connection: Connection) -> None:
        """Wait for what the connection can use now."""
        awaited = connection.awaited()
        if awaited != connection.interest:
            connection.interest = awaited
            self.epoll.modify(connection.fd, awaited)

    # Messages.

    def collect(self) -> None:
        """Answer what the sync threads have stored, and tell the courier."""
        ids = []
        for connection, reply, queue_id in self.intake.collect():
            if queue_id:
                ids.append(queue_id)
            if reply:
                self.commit_result(connection, reply)
            elif not connection.closing:
                self.watch(connection)
        # A full pipe means that the courier is far behind: it looks into the directory then.
        if ids and not ipc.write_ids(self.wake, ids):
            self.counters[counters.OVERFLOW] = 1

    def commit_result(self, connection: Connection, reply: Reply) -> None:
        """Answer the end of data, and go on with what the client has sent since."""
        if self.connections.get(connection.fd) is not connection:
            return
        self.intake.refresh(connection, time.monotonic())
        self.handle(connection, connection.session.commit_result(reply))
        if connection.peer_closed and not connection.session.waiting:
            self.hang_up(connection)

    # Time passes.

    def end_ambiguous(self, now: float) -> None:
        """End the messages whose ambiguous dot nothing has followed."""
        for connection in [connection for connection in self.ambiguous if connection.idle_at <= now]:
            if connection.interest & IN and connection.is_silent():  # silence counts only while we listen
                self.ambiguous.discard(connection)
                self.handle(connection, connection.session.on_idle())
            else:
                connection.idle_at = now + _IDLE

    def sweep(self, now: float) -> None:
        """Look, once a second, who takes too long, how much room there is, and what has happened again."""
        main = self.main
        short = self.draining > 0 or limits.run_short(len(self.connections), main.max_connections)
        for connection in list(self.connections.values()):
            session = connection.session
            progress = session.commands.progress
            if session.waiting or connection.incoming.buffered >= PIECE:  # for a disk
                connection.pace.restart(progress, now)
            elif self.draining and now >= self.draining and not session.in_data:
                self.drop(connection, replies.NEW_SETTINGS)
            else:
                few = limits.run_short(self.per_client[connection.client], main.max_connections_per_client)
                fault = connection.pace.fault(
                    progress, now, session.in_data, main, short=short or few or session.commands.closing
                )
                if fault:
                    self.refuse(connection, fault)
        self.intake.capacity.tick(now)
        self.journal.sum_up(now)
        if self.ending and now >= self.ending:
            os._exit(0)

    def on_signal(self) -> None:
        numbers = os.read(self.signals, 64)
        if signal.SIGTERM in numbers:
            self.finish()
        elif signal.SIGUSR2 in numbers:
            self.drain()

    def finish(self) -> None:
        """End: commits under way are answered, everybody else is told to come again."""
        self.ending = time.monotonic() + _FINISH
        self.stop_accepting()
        for connection in list(self.connections.values()):
            if not connection.session.waiting:
                self.drop(connection, replies.SHUTTING_DOWN)

    def drain(self) -> None:
        """Let sessions that have begun come to their end: a listener with newer settings has taken over."""
        self.draining = time.monotonic() + _DRAIN
        self.stop_accepting()

    def stop_accepting(self) -> None:
        for fd, sock in self.listening.items():
            self.epoll.unregister(fd)
            sock.close()
        self.listening = {}

    def ended(self) -> bool:
        return bool(self.ending or self.draining) and not self.connections and not self.intake.committing

    def orphaned(self) -> None:
        """End at once, since the supervisor is gone: what has no 250 yet was never promised."""
        os._exit(1)


def _signal_pipe() -> int:
    """Return a descriptor from which the signals for us can be read."""
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGUSR2):
        signal.signal(number, lambda *_: None)
    return reading
