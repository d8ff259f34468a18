"""The client side of SMTP as a plain object: bytes in, bytes to send and events out.

No socket, no clock, no file, no TLS: those are smarthost.py's, which drives it. Speaks RFC 5321 with PIPELINING (2920),
STARTTLS (3207), AUTH (4954), SIZE (1870), 8BITMIME (6152), SMTPUTF8 (6531) and enhanced status codes (2034).

    session = Session(b"router.example.org", starttls=True, login=Login("user", "secret"))
    events = session.receive(b"220 mx ESMTP\\r\\n")         # then write session.take(), read, receive, ... until:
    (STARTTLS,)                    wrap the socket, drop what was read before, call session.secured()
    (READY,)                       session.submit(transaction) sends MAIL, RCPT... and DATA
    (CONTENT, transaction)         354 is there: write transaction.content(), submit() the next one meanwhile, and then
                                   end_of_data(last): the dot, with the next one's MAIL, RCPT and DATA behind it
    (RESULT, transaction, outcome) in the order of submission
    (STEP, stage, reply)           any command was answered, by this reply's first line (only if `verbose`)
    (FAILED, stage, cause, text, reply)    the connection is of no more use; says nothing about a message

Which reply leads where (4xx and 5xx of BANNER, EHLO, HELO, TLS and AUTH, 421 anywhere, and any other code: FAILED):

    sent        reply      then
    -           220        EHLO
    EHLO        250        STARTTLS if it is due, AUTH if a login is set, else READY
                5xx        HELO, if neither is due
    HELO        250        READY
    STARTTLS    220        the driver's handshake, everything learnt is forgotten, EHLO
    AUTH        334        the mechanism's next response; an empty line to a challenge too many
                235        READY
                504        the next mechanism, if the choice is ours; likewise after any 5xx to CRAM-MD5
    MAIL        250        RCPTs
                4xx 5xx    the result of all recipients (503, 530, 534, 535, 538: FAILED, the login is missing or void)
    RCPT        25x        DATA after the last one
                4xx 5xx    the result of this recipient (FAILED as with MAIL if there was no login)
    DATA        354        CONTENT; where no recipient was accepted a lone dot, whose answer counts nothing
                4xx 5xx    the result of the recipients that were accepted
    .           2xx        the result of the recipients that were accepted: delivered
                4xx 5xx    the same: not delivered
"""

from __future__ import annotations

from collections import deque

from mailrelay.smtp import opening
from mailrelay.smtp.reply import Reply
from mailrelay.smtp.reply_reader import Garbage, Reader, as_reply
from mailrelay.smtp.transaction import Attempt, Transaction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final, Literal

    from mailrelay.smtp.login import Login
    from mailrelay.smtp.transaction import Outcome

    Event = (
        tuple[Literal[0], str, Reply]
        | tuple[Literal[1]]
        | tuple[Literal[2]]
        | tuple[Literal[3], Transaction]
        | tuple[Literal[4], Transaction, Outcome]
        | tuple[Literal[5], str, str, str, Reply | None]
    )

STEP: Final = 0
STARTTLS: Final = 1
READY: Final = 2
CONTENT: Final = 3
RESULT: Final = 4
FAILED: Final = 5

# What a reply can be the answer to, after the commands of the opening; the name of each is the stage that a failure
# reports.
_MAIL, _RCPT, _DATA, _DOT, _LONE_DOT, _RSET, _QUIT = range(opening.AUTH + 1, opening.AUTH + 8)
_STAGES = ("banner", "ehlo", "ehlo", "starttls", "login", "mail", "rcpt", "data", "dot", "dot", "mail", "quit")

# Commands in one write: their replies must fit into the receive buffer while the write blocks (RFC 2920 3.1).
GROUP = 100
LOGIN_CODES = (530, 534, 535, 538)  # RFC 4954 6


class Pipeline:
    """Commands on their way: not yet sent, sent, and what the next replies answer."""

    __slots__ = ("expected", "group", "out", "pending")

    def __init__(self) -> None:
        self.group = 1  # commands in one write
        self.pending: deque[tuple[int, bytes]] = deque()
        self.expected: deque[int] = deque((opening.BANNER,))
        self.out: list[bytes] = []

    def add(self, command: int, line: bytes) -> None:
        if b"\r" in line or b"\n" in line or b"\0" in line:
            raise ValueError("a command with a line end or NUL inside")
        self.pending.append((command, line + b"\r\n"))

    def add_envelope(self, entry: Attempt, extensions: dict[str, str]) -> None:
        transaction = entry.transaction
        self.add(_MAIL, b"MAIL FROM:<" + transaction.sender + b">" + transaction.parameters(extensions))
        for i in entry.asked:
            self.add(_RCPT, b"RCPT TO:<" + transaction.recipients[i] + b">")
        self.add(_DATA, b"DATA")

    def flush(self) -> None:
        """Let a group of commands go."""
        for _ in range(min(self.group, len(self.pending))):
            command, line = self.pending.popleft()
            self.send(command, line)

    def send(self, command: int, data: bytes) -> None:
        self.expected.append(command)
        self.out.append(data)

    def take(self) -> bytes:
        """Return what is to be written now."""
        out = b"".join(self.out)
        self.out.clear()
        return out


class Session:
    """One connection's dialogue. `hostname` is what EHLO says; `secure` tells that TLS is up from the first byte."""

    def __init__(
        self,
        hostname: bytes,
        *,
        starttls: bool = False,
        secure: bool = False,
        login: Login | None = None,
        verbose: bool = False,
    ) -> None:
        self.opening = opening.Opening(hostname, starttls=starttls, secure=secure, login=login)
        self.over = False  # after FAILED or the answer to QUIT
        self.progress = 0  # replies read
        self._verbose = verbose
        self._upgrading = False  # STARTTLS is granted, the handshake is not done
        self._ready = False
        self._reader = Reader()
        self._lines: list[bytes] = []  # of the reply that is being handled
        self._pipeline = Pipeline()
        self._events: list[Event] = []
        self._line: deque[Attempt] = deque()  # every transaction without a RESULT
        self._current: Attempt | None = None  # between MAIL and the end of its content
        self._dotted: Attempt | None = None  # its dot is sent and not answered
        self._next: Attempt | None = None  # submitted, and its MAIL has to wait
        self._in_content = False
        self._reset = False  # the server holds an envelope that leads nowhere

    @property
    def wants(self) -> bool:
        """Return whether submit() may be called."""
        if not self._ready or self.over or self._next:
            return False
        return self._in_content or (self._current is None and self._dotted is None)

    @property
    def idle(self) -> bool:
        """Return whether nothing is awaited between transactions, so that QUIT is possible."""
        return self._ready and not (self.over or self._pipeline.expected or self._line)

    @property
    def stage(self) -> str:
        """Return what the server has to answer next."""
        if self._pipeline.expected:
            return _STAGES[self._pipeline.expected[0]]
        return "tls" if self._upgrading else "dot" if self._in_content else "lost"

    @property
    def in_flight(self) -> list[Transaction]:
        """Return the transactions that have no RESULT, oldest first."""
        return [entry.transaction for entry in self._line]

    @property
    def unsure(self) -> Transaction | None:
        """Return the transaction whose dot is sent and not answered."""
        return self._dotted.transaction if self._dotted else None

    def take(self) -> bytes:
        """Return what is to be sent now."""
        return self._pipeline.take()

    # What the driver tells

    def receive(self, data: bytes) -> list[Event]:
        """Take bytes from the server; b"" means that it closed the connection."""
        if self.over or self._upgrading:
            return []
        if not data:
            self._take_begun()
            return self._closed()
        self._reader.feed(data)
        try:
            while not self.over and (read := self._reader.next()):
                self._answered(*read)
                if self._upgrading:  # what came before the handshake may be anyone's: CVE-2011-0411
                    self._reader.forget()
        except Garbage as garbage:
            self._fail("garbage", str(garbage))
        return self._take_events()

    def abandon(self, cause: str, text: str) -> list[Event]:
        """Give the connection up, for a reason of the driver's."""
        if not self.over:
            self._take_begun()
            self._fail(cause, text)
        return self._take_events()

    def _take_begun(self) -> None:
        """Take the answer to the dot by its code, if it never came to its end: the server has decided by then."""
        if self._dotted and self.stage == "dot" and (begun := self._reader.begun()):
            self._answered(*begun)

    def secured(self) -> None:
        """Start again after the handshake, with nothing kept of what was said in the clear (RFC 3207 4.2)."""
        self._upgrading = False
        self._pipeline.add(opening.EHLO, self.opening.restart())
        self._pipeline.flush()

    def submit(self, transaction: Transaction) -> list[Event]:
        """Begin a transaction. Allowed while `wants`. What cannot be sent through this server gets its result here."""
        if not self.wants:
            raise RuntimeError("another transaction is not over yet")
        entry = Attempt(transaction)
        self._line.append(entry)
        entry.check(self.opening.extensions)
        if entry.outcome is None:
            self._next = entry
            self._start_next()
        self._emit()
        return self._take_events()

    def end_of_data(self, last: bytes = b"\r\n") -> bytes:
        """Return what ends the content, and the next transaction's commands if they may follow at once.

        To be sent in one write with the last chunk; `last` is the end of that, and tells whether a line is open.
        """
        if not self._in_content:
            raise RuntimeError("no content is due")
        self._in_content = False
        self._dotted, self._current = self._current, None
        self._pipeline.send(_DOT, b".\r\n" if last.endswith(b"\r\n") else b"\r\n.\r\n")
        self._start_next()
        return self.take()

    def quit(self) -> None:
        """Say goodbye; allowed while `idle`."""
        self._pipeline.add(_QUIT, b"QUIT")
        self._pipeline.flush()

    def _start_next(self) -> None:
        """Send the commands of the transaction that waits, if they may go now; maybe with the dot of the one before."""
        entry = self._next
        if entry is None or self._in_content or (self._pipeline.expected and self._pipeline.group == 1):
            return
        self._next, self._current = None, entry
        if self._reset:
            self._reset = False
            self._pipeline.add(_RSET, b"RSET")
        self._pipeline.add_envelope(entry, self.opening.extensions)
        self._pipeline.flush()

    # Reading

    def _answered(self, code: int, lines: list[bytes]) -> None:
        self.progress += 1
        kind = self._pipeline.expected[0] if self._pipeline.expected else None
        if kind == opening.AUTH:
            lines = self.opening.scrub(lines)
        reply = as_reply(code, lines)
        if kind is None:
            self._unasked(reply)
            return
        self._lines = lines
        if reply.code == 421:
            if kind == _DOT:
                self._dotted = None
            self._fail("closing", reply.text, reply)
            return
        before = len(self._events)
        _HANDLERS[kind](self, reply)
        if self._verbose and kind <= _DOT and not self.over:
            self._events.insert(before, (STEP, _STAGES[kind], as_reply(code, lines[:1])))
        self._pipeline.expected.popleft()
        if not self._pipeline.expected:
            if self._pipeline.pending:
                self._pipeline.flush()
            elif self._next:
                self._start_next()

    def _unasked(self, reply: Reply) -> None:
        """Take a reply that nothing was asked for: a farewell, or a refusal in the middle of the content."""
        if self._in_content and self._current and reply.code >= 400 and reply.code != 421:
            self._in_content = False
            self._complete("dot", reply)
        self._fail("closing", reply.text, reply)

    def _closed(self) -> list[Event]:
        if _QUIT not in self._pipeline.expected:
            self._fail(*self.opening.closed(self.stage))
        self.over = True
        return self._take_events()

    def _fail(self, cause: str, text: str, reply: Reply | None = None, stage: str = "") -> None:
        self._events = [event for event in self._events if event[0] not in (CONTENT, READY)]  # too late for these
        self._events.append((FAILED, stage or self.stage, cause, text, reply))
        self.over = True

    def _take_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def _emit(self) -> None:
        while self._line and (outcome := self._line[0].outcome):
            self._events.append((RESULT, self._line.popleft().transaction, outcome))

    def _complete(self, stage: str, message: Reply | None) -> None:
        """End the current transaction, which has no dot of its own."""
        if self._current:
            self._current.finish(stage, message)
        self._current = None
        self._emit()

    # Replies by what they answer

    def _on_opening(self, reply: Reply) -> None:
        try:
            command, line = self.opening.answered(self._pipeline.expected[0], reply, self._lines)
        except opening.Refused as refused:
            self._fail(refused.cause, refused.text, refused.reply, refused.stage)
            return
        if command == opening.DONE:
            self._ready = True
            self._pipeline.group = GROUP if "PIPELINING" in self.opening.extensions else 1
            self._events.append((READY,))
        elif command == opening.UPGRADE:
            self._upgrading = True
            self._events.append((STARTTLS,))
        else:
            self._pipeline.add(command, line)

    def _on_mail(self, reply: Reply) -> None:
        entry = self._negotiating(reply)
        if entry is None:
            return
        entry.mail = reply
        if not reply.ok:
            self._pipeline.pending.clear()
            if len(self._pipeline.expected) == 1:
                self._complete("mail", reply)

    def _on_rcpt(self, reply: Reply) -> None:
        entry = self._negotiating(reply)
        if entry is None or entry.mail is None:
            return
        entry.replies[entry.asked[entry.answered]] = reply
        entry.answered += 1
        entry.accepted += reply.ok
        if not entry.mail.ok:
            if len(self._pipeline.expected) == 1:
                self._complete("mail", entry.mail)
        elif entry.answered == len(entry.asked) and not entry.accepted and self._pipeline.pending:
            self._pipeline.pending.clear()  # DATA alone was left, and has nobody to go to
            self._reset = True
            self._complete("rcpt", None)

    def _on_data(self, reply: Reply) -> None:
        entry = self._current
        if entry is None or entry.mail is None:
            return
        if reply.code == 354 and entry.accepted:
            self._in_content = True
            self._events.append((CONTENT, entry.transaction))
            return
        if reply.code == 354:  # RFC 2920 3.1: a server may grant DATA although it refused every recipient
            self._pipeline.pending.append((_LONE_DOT, b".\r\n"))
        elif reply.code < 400:
            self._fail("garbage", "an answer that DATA cannot have: " + reply.text, reply)
            return
        elif entry.mail.ok:
            self._reset = True
        if not entry.mail.ok:
            self._complete("mail", entry.mail)
        elif not entry.accepted:
            self._complete("rcpt", None)
        else:
            self._complete("data", reply)

    def _on_dot(self, reply: Reply) -> None:
        entry = self._dotted
        if entry is None or 300 <= reply.code < 400:
            self._fail("garbage", "an answer that the end of data cannot have: " + reply.text, reply)
            return
        self._dotted = None
        entry.finish("dot", reply)
        self._emit()

    def _on_rset(self, reply: Reply) -> None:
        if not reply.ok:
            self._fail("garbage", reply.text, reply)

    def _negotiating(self, reply: Reply) -> Attempt | None:
        """Return the transaction that MAIL or RCPT was answered for, unless the answer says that no mail will do."""
        entry = self._current
        if reply.ok or entry is None:
            return entry
        if reply.code < 400:
            self._fail("garbage", "an answer that MAIL and RCPT cannot have: " + reply.text, reply)
        elif entry.mail is None and reply.code in (*LOGIN_CODES, 503):
            self._fail("login-refused" if self.opening.has_login else "login-required", reply.text, reply, "login")
        elif entry.mail and entry.mail.ok and reply.code in LOGIN_CODES and not self.opening.has_login:
            self._fail("login-required", reply.text, reply, "login")
        else:
            return entry
        return None


def _on_lone_dot(_session: Session, _reply: Reply) -> None:
    """Take any answer: nobody gets the message."""


def _on_quit(session: Session, _reply: Reply) -> None:
    session.over = True


_HANDLERS: tuple[Callable[[Session, Reply], None], ...] = (
    *(Session._on_opening,) * _MAIL,
    Session._on_mail,
    Session._on_rcpt,
    Session._on_data,
    Session._on_dot,
    _on_lone_dot,
    Session._on_rset,
    _on_quit,
)
