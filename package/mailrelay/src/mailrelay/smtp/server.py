"""The SMTP server session as a pure object: bytes in, replies and events out; no socket, no clock, no file.

The listener's loop owns the connection and time and calls this. Commands are `commands`, the end of data and the
limits of a message `data`, envelope addresses `addresses`, a login `auth`, all texts `replies`.

Events are tuples, the first item says which; they come in the order of what they answer:

    (REPLY, bytes)    to send; the replies to a batch of pipelined commands are one event
    (BEGIN, sender, recipients, smtputf8, eightbit)    a message begins (354 follows as REPLY)
    (DATA, bytes)     its next bytes as received: still dot-stuffed, the end-of-data mark taken off
    (END,)            it is complete: `.waiting` is true until the loop calls commit_result()
    (ABORT, reply, size)    it is void: over a limit, as the reply says, or the client is gone (None); size: the bytes
                      of content that came since the last DATA
    (CLOSE,)          close the connection once every reply is sent; always the last event of a session

    session = Session(policy, allowed=True, login=None)
    send(session.greeting())
    for event in session.receive(data): ...
    for event in session.commit_result(replies.QUEUED.fill(...)): ...
"""

from __future__ import annotations

from mailrelay.smtp import replies
from mailrelay.smtp.commands import Commands, Policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, Literal

    from mailrelay.smtp.auth import Login
    from mailrelay.smtp.data import Content
    from mailrelay.smtp.reply import Reply

    Event = (
        tuple[Literal[0, 2], bytes]
        | tuple[Literal[1], bytes, list[bytes], bool, bool]
        | tuple[Literal[3]]
        | tuple[Literal[4], Reply | None, int]
        | tuple[Literal[5]]
    )

REPLY: Final = 0
BEGIN: Final = 1
DATA: Final = 2
END: Final = 3
ABORT: Final = 4
CLOSE: Final = 5

__all__ = ["ABORT", "BEGIN", "CLOSE", "DATA", "END", "REPLY", "Policy", "Session"]


class Session:
    """One client's connection. Calls: greeting, then receive, commit_result, on_idle, disconnected as things happen."""

    __slots__ = ("_buffer", "_peer_closed", "_swallowing", "ambiguous_end", "commands", "waiting")

    def __init__(self, policy: Policy, *, allowed: bool, login: Login | None) -> None:
        """login: name and password that the client must show, ANY_LOGIN, or None where no login is offered."""
        # What is known of the client: the loop sets `room` and `throttled`, and reads the others.
        self.commands = Commands(policy, allowed=allowed, login=login)
        self.waiting = False  # END was given: input is only buffered until commit_result()
        self.ambiguous_end = False  # if nothing comes for three seconds and the client is still there, call on_idle()
        self._buffer = b""  # input not taken yet: part of a command line, or all while waiting
        self._swallowing = False  # the command line is too long, its rest goes
        self._peer_closed = False  # the client sends nothing more, but what it sent is still to be taken

    # What the loop calls.

    @property
    def in_data(self) -> bool:
        """Return whether content is coming in, not commands."""
        return self.commands.content is not None

    @property
    def buffered(self) -> int:
        """Return how many bytes are taken but not looked at yet."""
        return len(self._buffer)

    def greeting(self) -> bytes:
        """Return the first line. A client that is not allowed may still say one command, answered with CLOSE."""
        return self.commands.greeting().wire()

    def receive(self, data: bytes) -> list[Event]:
        """Take bytes from the client. While waiting they are only buffered: stop reading when `buffered` grows."""
        events: list[Event] = []
        if self.commands.closed or not data:
            return events
        if self.waiting:
            self._buffer += data
        else:
            if self._buffer:
                data = self._buffer + data
                self._buffer = b""
            self._run(data, events)
            self._flush(events)
        return events

    def commit_result(self, reply: Reply) -> list[Event]:
        """Answer the end of data, then go on with what the client sent meanwhile."""
        events: list[Event] = []
        if self.commands.closed or not self.waiting:
            return events
        self.waiting = False
        self.commands.reply(reply)
        data, self._buffer = self._buffer, b""
        self._run(data, events)
        if self._peer_closed and not self.waiting:
            self._finish(events)
        self._flush(events)
        return events

    def on_idle(self) -> list[Event]:
        """Take an ambiguous end of data for one, after three seconds of silence. No other message is accepted."""
        events: list[Event] = []
        self._end_ambiguous(events)
        return events

    def disconnected(self) -> list[Event]:
        """End the session: the client sends nothing more. A message in progress is void; one that waits is not."""
        events: list[Event] = []
        self._peer_closed = True
        self._end_ambiguous(events)
        if not self.waiting and not self.commands.closed:
            self._finish(events)
            self._flush(events)
        return events

    # Input.

    def _run(self, data: bytes, events: list[Event]) -> None:
        """Take everything that can be taken now; the rest goes into the buffer."""
        while data and not self.commands.closed:
            if self.waiting:
                self._buffer = data
                return
            content = self.commands.content
            data = self._take_lines(data, events) if content is None else self._take_content(content, data, events)

    def _take_lines(self, data: bytes, events: list[Event]) -> bytes:
        """Carry out command lines up to the start of content; return what follows that."""
        commands = self.commands
        longest = commands.policy.main.max_command_length
        position = 0
        while True:
            end = data.find(b"\n", position)
            if end < 0:
                break
            line = data[position:end]
            position = end + 1
            if self._swallowing or len(line) > longest:
                self._swallowing = False
                commands.too_long()
            else:
                commands.line(line)
            if commands.closed:
                return b""
            if commands.content is not None:
                events.append((BEGIN, commands.sender, commands.recipients, commands.smtputf8, commands.eightbit))
                self._flush(events)
                return data[position:]
        rest = data[position:]
        if self._swallowing or len(rest) > longest:
            self._swallowing = True
        elif commands.begins_tls(rest):  # no line end may come
            commands.line(rest)
        else:
            self._buffer = rest
        return b""

    def _take_content(self, content: Content, data: bytes, events: list[Event]) -> bytes:
        """Pass content on up to its end; return what follows that."""
        commands = self.commands
        part, rest = content.end.feed(data)
        self.ambiguous_end = content.end.ambiguous
        if part:
            commands.progress += len(part)
            if content.fault is None:
                content.fault = content.limits.check(part) if commands.room > 0 else replies.NO_ROOM
                events.append((ABORT, content.fault, len(part)) if content.fault else (DATA, part))
        if rest is None:
            return b""
        self._end(content, events)
        return rest

    def _end(self, content: Content, events: list[Event]) -> None:
        """End a message whose last byte has come."""
        self.ambiguous_end = False
        if self.commands.end_of_data(content):
            self._flush(events)
            events.append((END,))
            self.waiting = True

    def _end_ambiguous(self, events: list[Event]) -> None:
        """End a message at an ambiguous dot line that nothing has followed, or QUIT, which is carried out.

        A client that is gone without QUIT may have broken off in the midst of the content.
        """
        content = self.commands.content
        if content is not None and content.end.ambiguous:
            command = content.end.command()
            if command or not self._peer_closed:
                self._end(content, events)
                self._run(command, events)
                self._flush(events)

    def _flush(self, events: list[Event]) -> None:
        commands = self.commands
        out = commands.out
        if out:
            events.append((REPLY, out[0].wire() if len(out) == 1 else b"".join([reply.wire() for reply in out])))
            out.clear()
        if commands.closed:
            events.append((CLOSE,))

    def _finish(self, events: list[Event]) -> None:
        """Void what is not complete, and end."""
        content = self.commands.content
        if content is not None and content.fault is None:
            events.append((ABORT, None, 0))
        self._buffer = b""
        self.ambiguous_end = False
        self.commands.close()
