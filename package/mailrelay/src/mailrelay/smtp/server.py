"""The SMTP server session as a pure object: bytes in, replies and events out; no socket, no clock, no file.

The listener's loop owns the connection and time and calls this. Commands are `commands`, the end of data and the
limits of a message `data`, envelope addresses `addresses`, a login `auth`, all texts `replies`.

Events are tuples, the first item says which; they come in the order of what they answer:

    (REPLY, bytes)    to send; the replies to a batch of pipelined commands are one event
    (BEGIN, sender, recipients, smtputf8, eightbit)    a message begins (354 follows as REPLY)
    (DATA, bytes)     its next bytes as received: still dot-stuffed, the end-of-data mark taken off
    (END,)            it is complete: `.waiting` is true until the loop calls verdict()
    (ABORT,)          it is void: over a limit, or the client is gone
    (CLOSE,)          close the connection once every reply is sent; always the last event of a session

    session = Session(policy, "192.168.1.5", allowed=True, login=None)
    send(session.greeting())
    for event in session.receive(data): ...
    for event in session.verdict(replies.QUEUED.fill(...)): ...
"""

from __future__ import annotations

from mailrelay.smtp import auth, replies
from mailrelay.smtp.commands import Commands, Policy
from mailrelay.smtp.data import EndOfData

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, Literal

    from mailrelay.smtp.reply import Reply

    Event = (
        tuple[Literal[0, 2], bytes]
        | tuple[Literal[1], bytes, list[bytes], bool, bool]
        | tuple[Literal[3]]
        | tuple[Literal[4]]
        | tuple[Literal[5]]
    )
    Login = auth.Login | None

REPLY: Final = 0
BEGIN: Final = 1
DATA: Final = 2
END: Final = 3
ABORT: Final = 4
CLOSE: Final = 5

ANY_LOGIN = auth.ANY_LOGIN
__all__ = ["ABORT", "ANY_LOGIN", "BEGIN", "CLOSE", "DATA", "END", "REPLY", "Policy", "Session"]


class Session(Commands):
    """One client's connection. Calls: greeting, then receive, verdict, quiet, disconnected as things happen.

    The attributes of Commands that have no underscore are for the loop too.
    """

    __slots__ = ("_buffer", "_crlf_seen", "_gone", "_swallowing", "doubtful", "waiting")

    waiting: bool  # END was given: input is only buffered until verdict()
    doubtful: bool  # if nothing comes for one second and the client is still there, call quiet()

    _buffer: bytes  # input not taken yet: part of a command line, or all while waiting
    _crlf_seen: bool  # some command line ended with CRLF
    _swallowing: bool  # the command line is too long, its rest goes
    _gone: bool  # the client sends nothing more, but what it sent is still to be taken

    def __init__(self, policy: Policy, client: str, *, allowed: bool, login: Login) -> None:
        """login: name and password that the client must show, ANY_LOGIN, or None where no login is offered."""
        super().__init__(policy, client, allowed=allowed, login=login)
        self.waiting = self.doubtful = False
        self._buffer = b""
        self._crlf_seen = self._swallowing = self._gone = False

    # What the loop calls.

    @property
    def in_data(self) -> bool:
        """Content is coming in, not commands."""
        return self._scanner is not None

    @property
    def buffered(self) -> int:
        """Bytes taken but not looked at yet."""
        return len(self._buffer)

    def greeting(self) -> bytes:
        """The first line. A client that is not allowed may still say one command, which is answered with CLOSE."""
        if not self._allowed:
            self.closing = True
            return replies.NOT_ALLOWED.wire()
        return replies.BANNER.fill(self._policy.hostname).wire()

    def receive(self, data: bytes) -> list[Event]:
        """Take bytes from the client. While waiting they are only buffered: stop reading when `buffered` grows."""
        events: list[Event] = []
        if self._closed or not data:
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

    def verdict(self, reply: Reply) -> list[Event]:
        """Answer the end of data, then go on with what the client sent meanwhile."""
        events: list[Event] = []
        if self._closed or not self.waiting:
            return events
        self.waiting = False
        self._out.append(reply)
        data, self._buffer = self._buffer, b""
        self._run(data, events)
        if self._gone and not self.waiting:
            self._finish(events)
        self._flush(events)
        return events

    def quiet(self) -> list[Event]:
        """One second of silence and the client still there: a doubtful end of data is one, and this session's last."""
        events: list[Event] = []
        if self._scanner is not None and self._scanner.quiet():
            self._sealed = True
            self._end(events)
            self._flush(events)
        return events

    def disconnected(self) -> list[Event]:
        """The client sends nothing more. A message in progress is void; while waiting that is seen after verdict()."""
        events: list[Event] = []
        self._gone = True
        if not self.waiting and not self._closed:
            self._finish(events)
            self._flush(events)
        return events

    # Input.

    def _run(self, data: bytes, events: list[Event]) -> None:
        """Take everything that can be taken now; the rest goes into the buffer."""
        while data and not self._closed:
            if self.waiting:
                self._buffer = data
                return
            data = self._commands(data, events) if self._scanner is None else self._content(self._scanner, data, events)

    def _commands(self, data: bytes, events: list[Event]) -> bytes:
        """Carry out command lines up to the start of content; what follows that."""
        longest = self._policy.max_command_length
        position = 0
        while True:
            end = data.find(b"\n", position)
            if end < 0:
                break
            line = data[position:end]
            position = end + 1
            if self._swallowing or len(line) > longest:
                self._swallowing = False
                self._too_long()
            else:
                self._crlf = line[-1:] == b"\r"
                if self._crlf:
                    self._crlf_seen = True
                self._line(line)
            if self._closed:
                return b""
            if self._scanner is not None:
                recipients = list(self._recipients.values())
                events.append((BEGIN, self._sender, recipients, self._smtputf8, self._eightbit))
                self._flush(events)
                return data[position:]
        rest = data[position:]
        if self._swallowing or len(rest) > longest:
            self._swallowing = True
        else:
            self._buffer = rest
        return b""

    def _content(self, scanner: EndOfData, data: bytes, events: list[Event]) -> bytes:
        """Pass content on up to its end; what follows that."""
        content, rest = scanner.feed(data)
        self.doubtful = scanner.doubtful
        if content:
            self.progress += len(content)
            if not self._fault:
                assert self._limits is not None
                self._fault = self._limits.check(content) if self.room > 0 else replies.NO_ROOM
                events.append((ABORT,) if self._fault else (DATA, content))
        if rest is None:
            return b""
        if scanner.bare and self._crlf_seen:
            self._sealed = True
        self._end(events)
        return rest

    def _end(self, events: list[Event]) -> None:
        """The end of data was found."""
        self.doubtful = False
        fault = self._fault
        self._reset()
        if fault:
            self._waste(fault)
            return
        self.progress += 1
        self._useless = 0
        self._flush(events)
        events.append((END,))
        self.waiting = True

    def _flush(self, events: list[Event]) -> None:
        if self._out:
            events.append((REPLY, b"".join([reply.wire() for reply in self._out])))
            self._out.clear()
        if self._closed:
            events.append((CLOSE,))

    def _finish(self, events: list[Event]) -> None:
        """Nothing more comes."""
        if self._scanner is not None and not self._fault:
            events.append((ABORT,))
        self._reset()
        self._buffer = b""
        self.doubtful = False
        self._closed = self.closing = True
