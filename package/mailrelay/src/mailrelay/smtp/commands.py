"""The commands of an SMTP server session: a line in, a reply out, RFC 5321 4.1.1 as the machines on a LAN speak it.

Session (server) owns one: it cuts lines, passes content on and makes the events. Nothing here knows of bytes that are
no complete line.
"""

from __future__ import annotations

from mailrelay.smtp import addresses, auth, replies
from mailrelay.smtp.data import Content, EndOfData, Limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final, Protocol

    from mailrelay.smtp.reply import Reply

    class Main(Protocol):
        """The owner's settings. Sizes and lengths are in bytes."""

        hostname: str
        max_message_size: int
        max_recipients: int
        max_command_length: int
        max_line_length: int
        max_header_length: int
        max_useless_commands: int


# Recipients over the limit, or named twice, that are answered before they count as useless: a client with a long list
# pipelines it whole, and sends the rest in a further transaction (RFC 5321 4.5.3.1.10).
_SURPLUS: Final = 1000
_MAX_FAILED_LOGINS: Final = 3
_MAX_HELO: Final = 255

# States between messages; while content comes in there is a Content, after it the session waits.
_IDLE: Final = 1  # no transaction
_MAIL: Final = 2  # MAIL was accepted, no recipient yet
_RCPT: Final = 4  # at least one recipient
_ALWAYS: Final = _IDLE | _MAIL | _RCPT


class Policy:
    """What holds for every session."""

    __slots__ = ("banner", "main", "provider", "refusal", "too_big")

    def __init__(self, main: Main, *, provider: bool, refusal: Callable[[bytes], Reply | None]) -> None:
        """refusal(recipient): the reply for a recipient that cannot be served, None for one that can."""
        self.main = main
        self.provider = provider  # somebody would take the mail
        self.refusal = refusal
        self.banner = replies.BANNER.fill(main.hostname)
        self.too_big = replies.TOO_BIG.fill(main.max_message_size)


class Commands:
    """What is known of one client, and of the message it is about to send. The loop reads what has no underscore."""

    __slots__ = (
        "_after_refused_data", "_allowed", "_auth_said", "_crlf", "_crlf_seen", "_dialogue", "_greeted",
        "_login", "_logins_failed", "_no_more_mail", "_recipients", "_state", "_surplus", "_useless",
        "authenticated", "closed", "closing", "content", "eightbit", "helo", "out", "policy", "progress",
        "protocol", "refusals", "room", "said", "sender", "smtputf8", "throttled",
    )  # fmt: skip

    def __init__(self, policy: Policy, *, allowed: bool, login: auth.Login | None) -> None:
        """login: name and password that the client must show, ANY_LOGIN, or None where no login is offered."""
        self.policy = policy
        self.protocol = "SMTP"  # what the client speaks, by its name in RFC 3848
        self.helo = b""  # what HELO or EHLO named, control characters replaced; may be empty
        self.room = policy.main.max_message_size  # bytes a message may have now; 0: MAIL and content get 452
        self.throttled: Reply | None = None  # the reply that MAIL and DATA get now, instead of being accepted
        self.authenticated = False
        self.progress = 0  # commands that got on with a message, and bytes of content
        self.closing = not allowed  # no mail will come of this session any more
        self.closed = False  # the last reply was given
        self.out: list[Reply] = []  # replies not handed over yet
        self.refusals: list[tuple[bytes, Reply]] = []  # what was said, and which of them refused it; the loop clears it
        self._allowed = allowed
        self._login = login
        self._dialogue: auth.Dialogue | None = None
        self._auth_said = False  # what is no command may be a name or a password
        self.said = b""  # the last command for a log: shortened, and without what may be a login or content
        self._greeted = False
        self._crlf = self._crlf_seen = False  # how the last command line ended; some line ended so
        self._no_more_mail = False  # an end of data was unclear
        self._after_refused_data = False  # what is no command now is content that somebody sends without asking
        self._useless = self._logins_failed = 0
        self._reset()

    # What the session calls.

    @property
    def recipients(self) -> list[bytes]:
        return list(self._recipients.values())

    def greeting(self) -> Reply:
        if self._allowed:
            return self.policy.banner
        self.refusals.append((b"", replies.NOT_ALLOWED))
        return replies.NOT_ALLOWED

    def begins_tls(self, line: bytes) -> bool:
        """Return whether this, which is no whole line yet, is TLS (RFC 8446 5.1) in place of a command."""
        return line[:2] == _TLS and self._dialogue is None

    def line(self, line: bytes) -> None:
        """Carry out a command line, given without its LF."""
        self._crlf = line[-1:] == b"\r"
        self._crlf_seen |= self._crlf
        if self._dialogue is not None:
            self._reply_useless(self._login_step(*self._dialogue.respond(line.strip())))
            return
        if b"\t" in line:
            line = line.replace(b"\t", b" ")
        line = line.strip()
        verb, _, argument = line.partition(b" ")
        if not verb:
            self._count_useless()
            return
        verb = verb.upper()
        self._auth_said |= verb[:4] == b"AUTH"
        self.said = _shown(verb, argument, line, hidden=self._auth_said or self._after_refused_data)
        if self._ends_with(verb):
            return
        self._after_refused_data = False
        handler, states, reply = _COMMANDS.get(verb, _NO_COMMAND)
        if handler is not None and self._state & states:
            reply = handler(self, argument.strip())
        if reply:
            self._reply_useless(reply)
            self._after_refused_data = verb in _BRINGS_CONTENT

    def too_long(self) -> None:
        """Answer a command line that is longer than it may be."""
        self._dialogue = None
        self._auth_said = True  # it may have been one that nobody took for AUTH
        self.said = b""
        if not self._ends_with(b""):
            self._reply_useless(replies.TOO_LONG)

    def end_of_data(self, content: Content) -> bool:
        """End the transaction; return whether its message is to be committed."""
        fault = content.fault
        # A bare end may be content of a client that speaks CRLF, and what follows made to look like a second message.
        self._no_more_mail |= content.end.ambiguous or (content.end.bare and self._crlf_seen)
        self._reset()
        if fault:
            self._reply_useless(fault)
            return False
        self.progress += 1
        self._useless = 0
        return True

    def close(self) -> None:
        """Void what is under way and take nothing more."""
        self._reset()
        self.closed = self.closing = True

    # Replies.

    def reply(self, reply: Reply) -> None:
        """Answer the last command, or the end of data."""
        self.out.append(reply)
        if reply.code >= 400:
            self.refusals.append((self.said, reply))

    def _reset(self) -> None:
        """Leave no transaction, RFC 5321 4.1.1.5."""
        self._state = _IDLE
        self.sender = b""
        self.smtputf8 = self.eightbit = False
        self.content: Content | None = None  # DATA was accepted: what comes now is content
        self._recipients: dict[bytes, bytes] = {}  # as addresses.folded() → as given
        self._surplus = 0

    def _reply_last(self, reply: Reply) -> None:
        self.reply(reply)
        self.closed = self.closing = True

    def _reply_useful(self, reply: Reply) -> None:
        """Answer what got a message on its way."""
        self.progress += 1
        self.reply(reply)

    def _reply_useless(self, reply: Reply | None) -> None:
        """Answer what got no message on its way, if there is such an answer."""
        if reply and self._count_useless():
            self.reply(reply)

    def _count_useless(self) -> bool:
        """End the session if too much got no message on its way; return whether it goes on."""
        self._useless += 1
        if self._useless > self.policy.main.max_useless_commands:
            self._reply_last(replies.TOO_MANY)
        return not self.closed

    def _ends_with(self, verb: bytes) -> bool:
        """End the session, if that is what this command leads to; return whether it is."""
        if verb == b"QUIT":
            self._reply_last(replies.GOOD_BYE)
        elif not self._allowed:
            self._reply_last(replies.NOT_ALLOWED)
        elif self._no_more_mail:
            self._reply_last(replies.UNCLEAR)
        elif self._after_refused_data and verb not in _AFTER_REFUSED_DATA:
            self._reply_last(replies.CONTENT_REFUSED)
        elif verb in _WEB:
            self._reply_last(replies.NOT_WEB)
        elif verb[:2] == _TLS:
            self._reply_last(replies.TLS_FIRST)
        return self.closed

    # Commands. Each returns the reply that got no message on its way, None if it has given another.

    def _helo(self, argument: bytes) -> Reply | None:
        self.protocol = "SMTP"
        return self._hello(argument, replies.HELO.fill(self.policy.main.hostname))

    def _ehlo(self, argument: bytes) -> Reply | None:
        size = min(self.policy.main.max_message_size, self.room)  # of 0, "SIZE 0" would promise no limit (RFC 1870 4)
        shown = f" {size}" if size > 0 else ""
        offered = replies.EHLO_LOGIN if type(self._login) is tuple else replies.EHLO_ANY_LOGIN
        login = offered if self._login else ""
        self.protocol = "ESMTPA" if self.authenticated else "ESMTP"
        return self._hello(argument, replies.EHLO.fill(self.policy.main.hostname, shown, login))

    def _hello(self, argument: bytes, reply: Reply) -> Reply | None:
        self._reset()
        self.helo = argument[:_MAX_HELO].translate(_VISIBLE)
        if self._greeted:
            return reply
        self._greeted = True
        self._reply_useful(reply)
        return None

    def _mail(self, argument: bytes) -> Reply | None:
        policy = self.policy
        if type(self._login) is tuple and not self.authenticated:
            return replies.LOGIN_FIRST
        path = addresses.split(argument, b"FROM")
        if path is None:
            return replies.MAIL_SYNTAX
        sender, parameters = path
        known = _mail_parameters(parameters)
        if known is None:
            return replies.MAIL_PARAMETER
        size, smtputf8, eightbit = known
        fault = addresses.fault(sender) if sender else ""
        if fault:
            return replies.BAD_SENDER.fill(fault)
        if not smtputf8 and not sender.isascii():
            return replies.NOT_ASCII
        if size > policy.main.max_message_size:
            return policy.too_big
        if not policy.provider:
            return replies.NO_PROVIDER
        if self.throttled:
            return self.throttled
        if self.room <= 0 or size > self.room:
            return replies.NO_ROOM
        again = self._state == _MAIL
        self._state = _MAIL
        self.sender = sender
        self.smtputf8 = smtputf8
        self.eightbit = eightbit
        if again:  # some never send RSET; one that sends nothing else gets nowhere
            return replies.SENDER_OK
        self._reply_useful(replies.SENDER_OK)
        return None

    def _rcpt(self, argument: bytes) -> Reply | None:
        path = addresses.split(argument, b"TO")
        if path is None:
            return replies.RCPT_SYNTAX
        recipient, parameters = path
        if not recipient and b"<" not in argument:
            return replies.RCPT_SYNTAX
        fault = addresses.fault(recipient)
        if fault:
            return replies.BAD_RECIPIENT.fill(fault)
        if not self.smtputf8 and not recipient.isascii():
            return replies.NOT_ASCII
        if parameters.strip():
            return replies.RCPT_PARAMETER
        refusal = self.policy.refusal(recipient)
        if refusal:
            return refusal
        same = addresses.folded(recipient)
        if same in self._recipients:
            return self._surplus_recipient(replies.RECIPIENT_AGAIN)
        if len(self._recipients) >= self.policy.main.max_recipients:
            return self._surplus_recipient(replies.TOO_MANY_RECIPIENTS)
        self._recipients[same] = recipient
        self._state = _RCPT
        self._reply_useful(replies.RECIPIENT_OK)
        return None

    def _surplus_recipient(self, reply: Reply) -> Reply | None:
        self._surplus += 1
        if self._surplus > _SURPLUS:
            return reply
        self.reply(reply)
        return None

    def _data(self, argument: bytes) -> Reply | None:
        main = self.policy.main
        if argument:
            return replies.DATA_SYNTAX
        if self.throttled:
            return self.throttled
        if self.room <= 0:
            return replies.NO_ROOM
        size, too_big = main.max_message_size, self.policy.too_big
        if self.room < size:
            size, too_big = self.room, replies.NO_ROOM
        limits = Limits(size, too_big, main.max_line_length, main.max_header_length)
        self.content = Content(EndOfData(self._crlf), limits)
        self._reply_useful(replies.GO_AHEAD)
        return None

    def _rset(self, argument: bytes) -> Reply:
        self._reset()
        return replies.OK

    def _auth(self, argument: bytes) -> Reply | None:
        if self._login is None:
            return replies.NO_LOGIN
        if self.authenticated:
            return replies.LOGGED_IN_ALREADY
        self._dialogue = auth.Dialogue(self._login)
        return self._login_step(*self._dialogue.begin(argument))

    def _login_step(self, outcome: int, reply: Reply) -> Reply | None:
        if outcome == auth.ASKED:
            self.reply(reply)
            return None
        self._dialogue = None
        if outcome == auth.ACCEPTED:
            self.authenticated = True
            self.protocol = "ESMTPA"
            self._reply_useful(reply)
            return None
        self._logins_failed += outcome == auth.WRONG
        if self._logins_failed < _MAX_FAILED_LOGINS:
            return reply
        self._reply_last(replies.TOO_MANY_LOGINS)
        return None


def _shown(verb: bytes, argument: bytes, line: bytes, *, hidden: bool) -> bytes:
    """Return a command as a log may have it. hidden: what is no command may be a login or content."""
    if verb[:4] == b"AUTH":
        mechanism = argument.split(None, 1)[:1]
        return b" ".join([b"AUTH", *(word for word in mechanism if word.upper() in _MECHANISMS)])
    if verb in _COMMANDS or verb in _WEB:
        return line[:_SHOWN]
    word = line[: len(verb)]
    # Base64 mixes upper and lower case, which nobody does who gives a command.
    is_word = word.isalnum() and word in (verb, verb.lower(), verb.capitalize())
    return verb[:_SHOWN] if is_word and not hidden else b""


def _mail_parameters(parameters: bytes) -> tuple[int, bool, bool] | None:
    """Read what follows the address in MAIL: SIZE (0 if not given), SMTPUTF8, 8BITMIME. None for what is not known."""
    size = 0
    smtputf8 = eightbit = False
    for parameter in parameters.upper().split():
        key, _, value = parameter.partition(b"=")
        if key == b"SIZE" and value.isdigit() and len(value) <= 20:
            size = int(value)
        elif key == b"BODY" and value in (b"7BIT", b"8BITMIME"):
            eightbit = value == b"8BITMIME"
        elif parameter == b"SMTPUTF8":
            smtputf8 = True
        elif key != b"AUTH":
            return None
    return size, smtputf8, eightbit


_VISIBLE = bytes(code if code > 32 and code != 127 else 63 for code in range(256))

# After a refused DATA a client that waits for replies says one of these; content begins with none of them and a space.
_AFTER_REFUSED_DATA = frozenset((b"RSET", b"QUIT", b"MAIL", b"RCPT", b"DATA", b"HELO", b"EHLO", b"NOOP"))
_BRINGS_CONTENT = frozenset((b"DATA", b"BDAT"))

_SHOWN = 80  # bytes of a command that a log shows
# Of AUTH no other word is shown: it may be the login.
_MECHANISMS = frozenset(
    (b"LOGIN", b"PLAIN", b"CRAM-MD5", b"DIGEST-MD5", b"NTLM", b"XOAUTH2", b"OAUTHBEARER", b"GSSAPI")
)
_TLS = b"\x16\x03"  # a record of the handshake, and the version

# A web page must not make a browser in the cabinet send mail.
_WEB = frozenset((b"GET", b"POST", b"PUT", b"OPTIONS", b"CONNECT"))

# Verb → handler, states it is for (RFC 5321 4.1.4), reply in any other. MAIL may be repeated while it has no recipient:
# machines whose only recipient was refused start over without RSET.
_COMMANDS: dict[bytes, tuple[Callable[[Commands, bytes], Reply | None] | None, int, Reply | None]] = {
    b"HELO": (Commands._helo, _ALWAYS, None),
    b"EHLO": (Commands._ehlo, _ALWAYS, None),
    b"MAIL": (Commands._mail, _IDLE | _MAIL, replies.NESTED_MAIL),
    b"RCPT": (Commands._rcpt, _MAIL | _RCPT, replies.MAIL_FIRST),
    b"DATA": (Commands._data, _RCPT, replies.RCPT_FIRST),
    b"RSET": (Commands._rset, _ALWAYS, None),
    b"AUTH": (Commands._auth, _IDLE, replies.LOGIN_LATE),
    b"NOOP": (None, 0, replies.OK),
    b"VRFY": (None, 0, replies.CANNOT_VERIFY),
    b"HELP": (None, 0, replies.HELP),
    b"STARTTLS": (None, 0, replies.NO_TLS),
    b"EXPN": (None, 0, replies.NO_LISTS),
    b"BDAT": (None, 0, replies.NO_BDAT),
}
_NO_COMMAND = (None, 0, replies.UNKNOWN)
