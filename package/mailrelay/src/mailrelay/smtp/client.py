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
    (FAILED, stage, cause, text, reply, permanent)    the connection is of no more use; says nothing about a message

Which reply leads where (4xx and 5xx of BANNER, EHLO, HELO, TLS and AUTH, 421 anywhere, and any other code: FAILED):

    sent        reply      then
    -           220        EHLO
    EHLO        250        STARTTLS if it is due, AUTH if a login is set, else READY
                5xx        HELO, if neither is due
    HELO        250        READY
    STARTTLS    220        the driver's handshake, everything learnt is forgotten, EHLO
    AUTH        334        the mechanism's next response; an empty line to a challenge too many
                235        READY
                504        the next mechanism, if the choice is ours
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

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections import deque

from mailrelay.smtp.login import Login
from mailrelay.smtp.reply import Reply
from mailrelay.smtp.reply_reader import MAX_TEXT, Garbage, Reader, as_reply
from mailrelay.smtp.transaction import Attempt, Transaction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final, Literal

    from mailrelay.smtp.transaction import Outcome

    Event = (
        tuple[Literal[0], str, Reply]
        | tuple[Literal[1]]
        | tuple[Literal[2]]
        | tuple[Literal[3], Transaction]
        | tuple[Literal[4], Transaction, Outcome]
        | tuple[Literal[5], str, str, str, Reply | None, bool]
    )

STEP: Final = 0
STARTTLS: Final = 1
READY: Final = 2
CONTENT: Final = 3
RESULT: Final = 4
FAILED: Final = 5

# What a reply can be the answer to; the name of each is the stage that a failure reports.
_BANNER, _EHLO, _HELO, _TLS, _AUTH, _MAIL, _RCPT, _DATA, _DOT, _LONE_DOT, _RSET, _QUIT = range(12)
_STAGES = ("banner", "ehlo", "ehlo", "starttls", "login", "mail", "rcpt", "data", "dot", "dot", "mail", "quit")

# Commands in one write: their replies must fit into the receive buffer while the write blocks (RFC 2920 3.1).
GROUP = 100
MAX_INITIAL_RESPONSE = 480  # bytes of base64 that fit into one AUTH command (RFC 4954 4)
LOGIN_CODES = (530, 534, 535, 538)  # RFC 4954 6


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
        self.hostname = hostname
        self.secure = secure
        self.extensions: dict[str, str] = {}  # keyword to parameters, both in upper case
        self.mechanism = ""  # that the login went by
        self.over = False  # after FAILED or the answer to QUIT
        self.progress = 0  # replies read
        self._starttls = starttls
        self._login = login
        self._verbose = verbose
        self._mechanisms: list[str] = []  # left to try
        self._step = 0  # challenges answered
        self._upgrading = False  # STARTTLS is granted, the handshake is not done
        self._ready = False
        self._group = 1  # commands in one write
        self._reader = Reader()
        self._lines: list[bytes] = []  # of the reply that is being handled
        self._out: list[bytes] = []
        self._pending: deque[tuple[int, bytes]] = deque()  # commands not yet sent
        self._expected: deque[int] = deque((_BANNER,))  # what the next replies answer
        self._events: list[Event] = []
        self._line: deque[Attempt] = deque()  # every transaction without a RESULT
        self._current: Attempt | None = None  # between MAIL and the end of its content
        self._dotted: Attempt | None = None  # its dot is sent and not answered
        self._next: Attempt | None = None  # submitted, and its MAIL has to wait
        self._in_content = False
        self._reset = False  # the server holds an envelope that leads nowhere

    # What the driver asks

    @property
    def wants(self) -> bool:
        """True if submit() may be called."""
        if not self._ready or self.over or self._next:
            return False
        return self._in_content or (self._current is None and self._dotted is None)

    @property
    def idle(self) -> bool:
        """True between transactions, with nothing awaited: QUIT is possible."""
        return self._ready and not (self.over or self._expected or self._line)

    @property
    def stage(self) -> str:
        """What the server has to answer next."""
        if self._expected:
            return _STAGES[self._expected[0]]
        return "tls" if self._upgrading else "dot" if self._in_content else "lost"

    @property
    def in_flight(self) -> list[Transaction]:
        """The transactions that have no RESULT, oldest first."""
        return [entry.transaction for entry in self._line]

    @property
    def unsure(self) -> Transaction | None:
        """The transaction whose dot is sent and not answered."""
        return self._dotted.transaction if self._dotted else None

    def take(self) -> bytes:
        """What is to be sent now."""
        out = b"".join(self._out)
        self._out.clear()
        return out

    # What the driver tells

    def receive(self, data: bytes) -> list[Event]:
        """Take bytes from the server; b"" means that it closed the connection."""
        if self.over or self._upgrading:
            return []
        if not data:
            self._closed()
            return self._take_events()
        self._reader.feed(data)
        try:
            while not self.over and (read := self._reader.next()):
                self._answered(*read)
                if self._upgrading:  # what came before the handshake may be anyone's: CVE-2011-0411
                    self._reader.forget()
        except Garbage as garbage:
            self._fail("garbage", str(garbage))
        return self._take_events()

    def abandon(self, cause: str, text: str, permanent: bool = False) -> list[Event]:
        """The driver gives the connection up."""
        if not self.over:
            self._fail(cause, text, permanent=permanent)
        return self._take_events()

    def secured(self) -> None:
        """The handshake after STARTTLS is done: forget what was said in the clear and start again (RFC 3207 4.2)."""
        self._upgrading = False
        self.secure = True
        self.extensions = {}
        self._command(_EHLO, b"EHLO " + self.hostname)
        self._flush()

    def submit(self, transaction: Transaction) -> list[Event]:
        """Begin a transaction. Allowed while `wants`. What cannot be sent through this server gets its result here."""
        if not self.wants:
            raise RuntimeError("another transaction is not over yet")
        entry = Attempt(transaction)
        self._line.append(entry)
        entry.check(self.extensions)
        if entry.outcome is None:
            self._next = entry
            self._start_next()
        self._emit()
        return self._take_events()

    def end_of_data(self, last: bytes = b"\r\n") -> bytes:
        """What ends the content, and the next transaction's commands if they may follow at once.

        To be sent in one write with the last chunk; `last` is the end of that, and tells whether a line is open.
        """
        if not self._in_content:
            raise RuntimeError("no content is due")
        self._in_content = False
        self._dotted, self._current = self._current, None
        self._out.append(b".\r\n" if last.endswith(b"\r\n") else b"\r\n.\r\n")
        self._expected.append(_DOT)
        self._start_next()
        return self.take()

    def quit(self) -> None:
        """Say goodbye; allowed while `idle`."""
        self._command(_QUIT, b"QUIT")
        self._flush()

    # Sending

    def _command(self, kind: int, line: bytes) -> None:
        if b"\r" in line or b"\n" in line or b"\0" in line:
            raise ValueError("a command with a line end or NUL inside")
        self._pending.append((kind, line + b"\r\n"))

    def _flush(self) -> None:
        for _ in range(min(self._group, len(self._pending))):
            kind, command = self._pending.popleft()
            self._expected.append(kind)
            self._out.append(command)

    def _start_next(self) -> None:
        """Send the commands of the transaction that waits, if they may go now; maybe with the dot of the one before."""
        entry = self._next
        if entry is None or self._in_content or (self._expected and self._group == 1):
            return
        self._next, self._current = None, entry
        if self._reset:
            self._reset = False
            self._command(_RSET, b"RSET")
        transaction = entry.transaction
        self._command(_MAIL, b"MAIL FROM:<" + transaction.sender + b">" + transaction.parameters(self.extensions))
        for i in entry.asked:
            self._command(_RCPT, b"RCPT TO:<" + transaction.recipients[i] + b">")
        self._command(_DATA, b"DATA")
        self._flush()

    # Reading

    def _answered(self, code: int, lines: list[bytes]) -> None:
        self.progress += 1
        kind = self._expected[0] if self._expected else None
        if kind == _AUTH and self._login:
            lines = [self._login.scrub(line) for line in lines]
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
        self._expected.popleft()
        if not self._expected:
            if self._pending:
                self._flush()
            elif self._next:
                self._start_next()

    def _unasked(self, reply: Reply) -> None:
        """A reply that nothing was asked for: a farewell, or a refusal in the middle of the content."""
        if self._in_content and self._current and reply.code >= 400 and reply.code != 421:
            self._in_content = False
            self._complete("dot", reply)
        self._fail("closing", reply.text, reply)

    def _closed(self) -> None:
        if self._expected and self._expected[0] == _QUIT:
            self.over = True
        else:
            self._fail("lost", "the server closed the connection")

    def _fail(
        self, cause: str, text: str, reply: Reply | None = None, stage: str = "", *, permanent: bool = False
    ) -> None:
        if reply and reply.permanent and cause not in ("closing", "garbage"):
            permanent = True
        self._events = [event for event in self._events if event[0] not in (CONTENT, READY)]  # too late for these
        self._events.append((FAILED, stage or self.stage, cause, text, reply, permanent))
        self.over = True

    def _take_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def _emit(self) -> None:
        while self._line and (outcome := self._line[0].outcome):
            self._events.append((RESULT, self._line.popleft().transaction, outcome))

    def _complete(self, stage: str, message: Reply | None) -> None:
        """The current transaction is over without a dot of its own."""
        if self._current:
            self._current.finish(stage, message)
        self._current = None
        self._emit()

    # Replies by what they answer

    def _on_banner(self, reply: Reply) -> None:
        if reply.ok:
            self._command(_EHLO, b"EHLO " + self.hostname)
        else:
            self._fail("rejected", reply.text, reply)

    def _on_ehlo(self, reply: Reply) -> None:
        if reply.ok:
            for line in self._lines[1:]:
                keyword, _, parameters = (
                    line.decode("ascii", "replace").upper().replace("AUTH=", "AUTH ", 1).partition(" ")
                )
                known = self.extensions.get(keyword, "")
                self.extensions[keyword] = f"{known} {parameters}".strip()
            self._advance()
        elif self._starttls and not self.secure and reply.code in (500, 502):
            self._fail("no-starttls", "the server knows no EHLO, so it has no STARTTLS", reply, "starttls")
        elif self._login and reply.code in (500, 502):
            self._fail("no-common-auth", "the server knows no EHLO, so it has no login", reply, "login")
        elif reply.permanent and not (self._login or (self._starttls and not self.secure)):
            self._command(_HELO, b"HELO " + self.hostname)
        else:
            self._fail("rejected", reply.text, reply)

    def _on_helo(self, reply: Reply) -> None:
        if reply.ok:
            self._become_ready()
        else:
            self._fail("rejected", reply.text, reply)

    def _advance(self) -> None:
        if self._starttls and not self.secure:
            if "STARTTLS" in self.extensions:
                self._command(_TLS, b"STARTTLS")
            else:
                self._fail("no-starttls", "the server does not offer STARTTLS", None, "starttls", permanent=True)
        elif self._login:
            offered = self.extensions.get("AUTH", "").split()
            self._mechanisms = self._login.mechanisms(offered, self.secure)
            if self._mechanisms:
                self._authenticate(self._login)
            elif offered:
                text = "the server offers only these logins: " + " ".join(offered)
                self._fail("no-common-auth", text[:MAX_TEXT], None, "login", permanent=True)
            else:
                self._fail("no-common-auth", "the server offers no login", None, "login", permanent=True)
        else:
            self._become_ready()

    def _become_ready(self) -> None:
        self._ready = True
        self._group = GROUP if "PIPELINING" in self.extensions else 1
        self._events.append((READY,))

    def _on_starttls(self, reply: Reply) -> None:
        if reply.code == 220:
            self._upgrading = True
            self._events.append((STARTTLS,))
        else:
            self._fail("no-starttls", reply.text, reply)

    def _authenticate(self, login: Login) -> None:
        mechanism = self._mechanisms[0]
        command = b"AUTH " + mechanism.encode()
        self._step = 0
        if mechanism == "PLAIN":
            response = b2a_base64(login.response(mechanism, 0, b""), newline=False)
            if len(response) <= MAX_INITIAL_RESPONSE:
                command += b" " + response
                self._step = 1
        self._command(_AUTH, command)

    def _on_auth(self, reply: Reply) -> None:
        if self._login is None:
            return
        if reply.code == 334 and self._step < 5:
            try:
                challenge = a2b_base64(self._lines[0])
            except Base64Error:
                challenge = b""
            response = self._login.response(self._mechanisms[0], self._step, challenge)
            self._step += 1
            self._command(_AUTH, b2a_base64(response, newline=False))
        elif reply.ok:
            self.mechanism = self._mechanisms[0]
            self._become_ready()
        elif reply.code == 504 and len(self._mechanisms) > 1:
            del self._mechanisms[0]
            self._authenticate(self._login)
        else:
            self._fail("login-refused", reply.text, reply)

    def _on_mail(self, reply: Reply) -> None:
        entry = self._negotiating(reply)
        if entry is None:
            return
        entry.mail = reply
        if not reply.ok:
            self._pending.clear()
            if len(self._expected) == 1:
                self._complete("mail", reply)

    def _on_rcpt(self, reply: Reply) -> None:
        entry = self._negotiating(reply)
        if entry is None or entry.mail is None:
            return
        entry.replies[entry.asked[entry.answered]] = reply
        entry.answered += 1
        entry.accepted += reply.ok
        if not entry.mail.ok:
            if len(self._expected) == 1:
                self._complete("mail", entry.mail)
        elif entry.answered == len(entry.asked) and not entry.accepted and self._pending:
            self._pending.clear()  # DATA alone was left, and has nobody to go to
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
            self._pending.append((_LONE_DOT, b".\r\n"))
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

    def _on_lone_dot(self, reply: Reply) -> None:
        pass

    def _on_quit(self, reply: Reply) -> None:
        self.over = True

    def _negotiating(self, reply: Reply) -> Attempt | None:
        """The transaction that MAIL or RCPT was answered for, unless the answer says that no mail will do."""
        entry = self._current
        if reply.ok or entry is None:
            return entry
        if reply.code < 400:
            self._fail("garbage", "an answer that MAIL and RCPT cannot have: " + reply.text, reply)
        elif entry.mail is None and reply.code in (*LOGIN_CODES, 503):
            self._fail("login-refused" if self._login else "login-required", reply.text, reply, "login")
        elif entry.mail and entry.mail.ok and reply.code in LOGIN_CODES and not self._login:
            self._fail("login-required", reply.text, reply, "login")
        else:
            return entry
        return None


_HANDLERS: tuple[Callable[[Session, Reply], None], ...] = (
    Session._on_banner,
    Session._on_ehlo,
    Session._on_helo,
    Session._on_starttls,
    Session._on_auth,
    Session._on_mail,
    Session._on_rcpt,
    Session._on_data,
    Session._on_dot,
    Session._on_lone_dot,
    Session._on_rset,
    Session._on_quit,
)
