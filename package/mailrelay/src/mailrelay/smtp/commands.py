"""The commands of an SMTP server session: a line in, a reply out, RFC 5321 4.1.1 as the machines on a LAN speak it.

Session (server) adds the stream to this: it cuts lines, passes content on and makes the events. Nothing here knows of
bytes that are no complete line.
"""

from __future__ import annotations

from mailrelay.smtp import addresses, auth, replies
from mailrelay.smtp.data import EndOfData, Limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from mailrelay.smtp.reply import Reply

    Login = auth.Login | None

# Recipients over the limit, or named twice, that are answered before they count as useless: a client with a long list
# pipelines it whole, and sends the rest in a further transaction (RFC 5321 4.5.3.1.10).
_SURPLUS: Final = 1000
_MAX_FAILED_LOGINS: Final = 3
_MAX_HELO: Final = 255

# States of a session between messages; while content comes in there is a scanner, after it `.waiting`.
_IDLE: Final = 1  # no transaction
_MAIL: Final = 2  # MAIL was accepted, no recipient yet
_RCPT: Final = 4  # at least one recipient
_NEVER: Final = 0
_ALWAYS: Final = _IDLE | _MAIL | _RCPT


class Policy:
    """What holds for every session: the owner's settings. Sizes and lengths are in bytes."""

    __slots__ = (
        "hostname", "max_command_length", "max_header_length", "max_line_length", "max_message_size", "max_recipients",
        "max_useless_commands", "provider", "refusal",
    )  # fmt: skip

    def __init__(
        self,
        hostname: str,
        *,
        max_message_size: int = 25 << 20,
        max_recipients: int = 100,
        max_command_length: int = 2048,
        max_line_length: int = 1 << 20,
        max_header_length: int = 64 << 10,
        max_useless_commands: int = 20,
        provider: bool = True,
        refusal: Callable[[bytes], Reply | None] | None = None,
    ) -> None:
        """refusal(recipient): the reply for a recipient that cannot be served, None for one that can."""
        self.hostname = hostname
        self.max_message_size = max_message_size
        self.max_recipients = max_recipients
        self.max_command_length = max_command_length
        self.max_line_length = max_line_length
        self.max_header_length = max_header_length
        self.max_useless_commands = max_useless_commands
        self.provider = provider
        self.refusal = refusal


class Commands:
    """What is known of one client, and of the message it is about to send."""

    __slots__ = (
        "_allowed", "_blind", "_closed", "_crlf", "_dialogue", "_eightbit", "_fault", "_greeted", "_limits", "_login",
        "_logins_failed", "_out", "_policy", "_recipients", "_scanner", "_sealed", "_sender", "_smtputf8", "_state",
        "_surplus", "_useless",
        "authenticated", "client", "closing", "helo", "progress", "room", "throttled",
    )  # fmt: skip

    client: str
    helo: bytes  # what HELO or EHLO named, control characters replaced; may be empty
    room: int  # bytes a message may have now; the loop sets it before each call; 0: MAIL and content get 452
    throttled: Reply | None  # the reply that MAIL gets now, instead of being accepted
    authenticated: bool
    closing: bool  # no mail will come of this session any more
    progress: int  # commands that got on with a message, and bytes of content

    _out: list[Reply]  # replies not handed over yet
    _closed: bool  # the last reply was given
    _crlf: bool  # how the last command line ended
    _sealed: bool  # an end of data was unclear: no more mail
    _blind: bool  # DATA was refused: what is no command now is content that somebody sends without asking
    _recipients: dict[bytes, bytes]  # as addresses.folded() → as given
    _scanner: EndOfData | None  # content comes in
    _fault: Reply | None  # the reply at the end of a message that is over a limit

    def __init__(self, policy: Policy, client: str, *, allowed: bool, login: Login) -> None:
        """login: name and password that the client must show, ANY_LOGIN, or None where no login is offered."""
        self.client = client
        self.helo = b""
        self.room = policy.max_message_size
        self.throttled = None
        self.authenticated = self.closing = False
        self.progress = 0
        self._policy = policy
        self._allowed = allowed
        self._login = login
        self._out = []
        self._crlf = self._sealed = self._blind = self._closed = self._greeted = False
        self._dialogue: auth.Dialogue | None = None
        self._useless = self._logins_failed = 0
        self._reset()

    def _reset(self) -> None:
        """No transaction, RFC 5321 4.1.1.5."""
        self._state = _IDLE
        self._sender = b""
        self._recipients = {}
        self._smtputf8 = self._eightbit = False
        self._surplus = 0
        self._scanner = None
        self._limits: Limits | None = None
        self._fault = None

    def _hang_up(self, reply: Reply) -> None:
        self._out.append(reply)
        self._closed = self.closing = True

    def _waste(self, reply: Reply | None) -> None:
        """Answer what got no message on its way; too much of that ends the session."""
        self._useless += 1
        if self._useless > self._policy.max_useless_commands:
            self._hang_up(replies.TOO_MANY)
        elif reply:
            self._out.append(reply)

    def _line(self, line: bytes) -> None:
        if self._dialogue is not None:
            self._login_step(*self._dialogue.respond(line.strip()))
            return
        if b"\t" in line:
            line = line.replace(b"\t", b" ")
        verb, _, argument = line.strip().partition(b" ")
        if not verb:
            self._waste(None)
            return
        verb = verb.upper()
        last_words = self._last_words(verb)
        if last_words:
            self._hang_up(last_words)
            return
        self._blind = False
        handler, states, refusal = _COMMANDS.get(verb, _NO_COMMAND)
        if self._state & states:
            handler(self, argument.strip())
        else:
            self._waste(refusal)
            self._blind = verb in _BRINGS_CONTENT

    def _too_long(self) -> None:
        self._dialogue = None
        last_words = self._last_words(b"")
        if last_words:
            self._hang_up(last_words)
        else:
            self._waste(replies.TOO_LONG)

    def _last_words(self, verb: bytes) -> Reply | None:
        """What ends the session instead of this command being carried out, None if nothing does."""
        if not self._allowed:
            return None if verb == b"QUIT" else replies.NOT_ALLOWED
        if self._sealed:
            return None if verb == b"QUIT" else replies.UNCLEAR
        return replies.BLIND if self._blind and verb not in _AFTER_REFUSED_DATA else None

    def _helo(self, argument: bytes) -> None:
        self._hello(argument, replies.HELO.fill(self._policy.hostname))

    def _ehlo(self, argument: bytes) -> None:
        size = min(self._policy.max_message_size, self.room)
        # "SIZE 0" would promise that there is no limit (RFC 1870 4).
        shown = f" {size}" if size > 0 else ""
        login = "" if self._login is None else replies.EHLO_LOGIN
        self._hello(argument, replies.EHLO.fill(self._policy.hostname, shown, login))

    def _hello(self, argument: bytes, reply: Reply) -> None:
        self._reset()
        self.helo = argument[:_MAX_HELO].translate(_VISIBLE)
        if self._greeted:
            self._waste(reply)
            return
        self._greeted = True
        self.progress += 1
        self._out.append(reply)

    def _mail(self, argument: bytes) -> None:
        policy = self._policy
        if type(self._login) is tuple and not self.authenticated:
            self._waste(replies.LOGIN_FIRST)
            return
        found = addresses.split(argument, b"FROM")
        if found is None:
            self._waste(replies.MAIL_SYNTAX)
            return
        sender, parameters = found
        size = 0
        smtputf8 = eightbit = False
        if parameters:
            for parameter in parameters.upper().split():
                key, _, value = parameter.partition(b"=")
                if key == b"SIZE" and value.isdigit() and len(value) <= 20:
                    size = int(value)
                elif key == b"BODY" and value in (b"7BIT", b"8BITMIME"):
                    eightbit = value == b"8BITMIME"
                elif parameter == b"SMTPUTF8":
                    smtputf8 = True
                elif key != b"AUTH":
                    self._waste(replies.MAIL_PARAMETER)
                    return
        fault = addresses.fault(sender) if sender else ""
        if fault:
            self._waste(replies.BAD_SENDER.fill(fault))
        elif not smtputf8 and not sender.isascii():
            self._waste(replies.NOT_ASCII)
        elif size > policy.max_message_size:
            self._waste(replies.TOO_BIG.fill(policy.max_message_size))
        elif not policy.provider:
            self._waste(replies.NO_PROVIDER)
        elif self.throttled:
            self._waste(self.throttled)
        elif self.room <= 0 or size > self.room:
            self._waste(replies.NO_ROOM)
        else:
            again = self._state == _MAIL
            self._state = _MAIL
            self._sender = sender
            self._smtputf8 = smtputf8
            self._eightbit = eightbit
            if again:  # some never send RSET; one that sends nothing else gets nowhere
                self._waste(replies.SENDER_OK)
            else:
                self.progress += 1
                self._out.append(replies.SENDER_OK)

    def _rcpt(self, argument: bytes) -> None:
        policy = self._policy
        found = addresses.split(argument, b"TO")
        if found is None:
            self._waste(replies.RCPT_SYNTAX)
            return
        recipient, parameters = found
        if not recipient and b"<" not in argument:
            self._waste(replies.RCPT_SYNTAX)
            return
        fault = addresses.fault(recipient)
        if fault:
            self._waste(replies.BAD_RECIPIENT.fill(fault))
            return
        if not self._smtputf8 and not recipient.isascii():
            self._waste(replies.NOT_ASCII)
            return
        if parameters.strip():
            self._waste(replies.RCPT_PARAMETER)
            return
        refusal = policy.refusal(recipient) if policy.refusal is not None else None
        if refusal:
            self._waste(refusal)
            return
        same = addresses.folded(recipient)
        if same in self._recipients:
            self._too_much(replies.RECIPIENT_AGAIN)
        elif len(self._recipients) >= policy.max_recipients:
            self._too_much(replies.TOO_MANY_RECIPIENTS)
        else:
            self._recipients[same] = recipient
            self._state = _RCPT
            self.progress += 1
            self._out.append(replies.RECIPIENT_OK)

    def _too_much(self, reply: Reply) -> None:
        self._surplus += 1
        if self._surplus > _SURPLUS:
            self._waste(reply)
        else:
            self._out.append(reply)

    def _data(self, argument: bytes) -> None:
        policy = self._policy
        if argument:
            self._waste(replies.DATA_SYNTAX)
            self._blind = True
            return
        if self.room <= 0:
            self._waste(replies.NO_ROOM)
            self._blind = True
            return
        size, too_big = policy.max_message_size, replies.TOO_BIG.fill(policy.max_message_size)
        if self.room < size:
            size, too_big = self.room, replies.NO_ROOM
        self._scanner = EndOfData(self._crlf)
        self._limits = Limits(size, too_big, policy.max_line_length, policy.max_header_length)
        self.progress += 1
        self._out.append(replies.GO_AHEAD)

    def _rset(self, argument: bytes) -> None:
        self._reset()
        self._waste(replies.OK)

    def _noop(self, argument: bytes) -> None:
        self._waste(replies.OK)

    def _vrfy(self, argument: bytes) -> None:
        self._waste(replies.CANNOT_VERIFY)

    def _help(self, argument: bytes) -> None:
        self._waste(replies.HELP)

    def _quit(self, argument: bytes) -> None:
        self._hang_up(replies.GOOD_BYE)

    def _web(self, argument: bytes) -> None:
        self._hang_up(replies.NOT_WEB)

    def _auth(self, argument: bytes) -> None:
        if self._login is None:
            self._waste(replies.NO_LOGIN)
        elif self.authenticated:
            self._waste(replies.LOGGED_IN_ALREADY)
        else:
            self._dialogue = auth.Dialogue(self._login)
            self._login_step(*self._dialogue.begin(argument))

    def _login_step(self, outcome: int, reply: Reply) -> None:
        if outcome == auth.ASKED:
            self._out.append(reply)
            return
        self._dialogue = None
        if outcome == auth.ACCEPTED:
            self.authenticated = True
            self.progress += 1
            self._out.append(reply)
            return
        self._logins_failed += outcome == auth.WRONG
        if self._logins_failed >= _MAX_FAILED_LOGINS:
            self._hang_up(replies.TOO_MANY_LOGINS)
        else:
            self._waste(reply)


_VISIBLE = bytes(code if code > 32 and code != 127 else 63 for code in range(256))

# After a refused DATA a client that waits for replies says one of these; content begins with none of them and a space.
_AFTER_REFUSED_DATA = frozenset((b"RSET", b"QUIT", b"MAIL", b"RCPT", b"DATA", b"HELO", b"EHLO", b"NOOP"))
_BRINGS_CONTENT = frozenset((b"DATA", b"BDAT"))

# Verb → handler, states it is for (RFC 5321 4.1.4), reply in any other. MAIL may be repeated while it has no recipient:
# machines whose only recipient was refused start over without RSET.
_COMMANDS: dict[bytes, tuple[Callable[[Commands, bytes], None], int, Reply | None]] = {
    b"HELO": (Commands._helo, _ALWAYS, None),
    b"EHLO": (Commands._ehlo, _ALWAYS, None),
    b"MAIL": (Commands._mail, _IDLE | _MAIL, replies.NESTED_MAIL),
    b"RCPT": (Commands._rcpt, _MAIL | _RCPT, replies.MAIL_FIRST),
    b"DATA": (Commands._data, _RCPT, replies.RCPT_FIRST),
    b"RSET": (Commands._rset, _ALWAYS, None),
    b"NOOP": (Commands._noop, _ALWAYS, None),
    b"VRFY": (Commands._vrfy, _ALWAYS, None),
    b"HELP": (Commands._help, _ALWAYS, None),
    b"QUIT": (Commands._quit, _ALWAYS, None),
    b"AUTH": (Commands._auth, _IDLE, replies.LOGIN_LATE),
    b"STARTTLS": (Commands._noop, _NEVER, replies.NO_TLS),
    b"EXPN": (Commands._noop, _NEVER, replies.NO_LISTS),
    b"BDAT": (Commands._noop, _NEVER, replies.NO_BDAT),
    # A web page must not make a browser in the cabinet send mail.
    b"GET": (Commands._web, _ALWAYS, None),
    b"POST": (Commands._web, _ALWAYS, None),
    b"PUT": (Commands._web, _ALWAYS, None),
    b"OPTIONS": (Commands._web, _ALWAYS, None),
    b"CONNECT": (Commands._web, _ALWAYS, None),
}
_NO_COMMAND: tuple[Callable[[Commands, bytes], None], int, Reply | None] = (Commands._noop, _NEVER, replies.UNKNOWN)
