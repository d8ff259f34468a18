"""How a session with a smarthost opens: EHLO, STARTTLS and the login, up to where the first MAIL may follow.

Decides what to say next; the client session says it and reads the answer.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64

from mailrelay.smtp.reply_reader import MAX_TEXT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailrelay.smtp.login import Login
    from mailrelay.smtp.reply import Reply

# What is answered, and what comes next.
BANNER, EHLO, HELO, TLS, AUTH, UPGRADE, DONE = range(7)

MAX_INITIAL_RESPONSE = 480  # bytes of base64 that fit into one AUTH command (RFC 4954 4)
_MAX_CHALLENGES = 5


class Refused(Exception):
    """The connection is of no use: `stage` is that of the command unless it is given."""

    def __init__(self, cause: str, text: str, reply: Reply | None, stage: str = "") -> None:
        self.cause = cause
        self.text = text
        self.reply = reply
        self.stage = stage


class Opening:
    """What both sides have said of themselves."""

    __slots__ = (
        "_challenges", "_login", "_mechanisms", "_refusal", "_starttls",
        "extensions", "hostname", "mechanism", "secure",
    )  # fmt: skip

    def __init__(self, hostname: bytes, *, starttls: bool, secure: bool, login: Login | None) -> None:
        self.hostname = hostname
        self.extensions: dict[str, str] = {}  # keyword to parameters, both in upper case
        self.mechanism = ""  # that the login went by
        self._refusal: Reply | None = None  # of a login, before another one was tried
        self.secure = secure  # TLS is up
        self._starttls = starttls
        self._login = login
        self._mechanisms: list[str] = []  # left to try
        self._challenges = 0  # answered

    @property
    def has_login(self) -> bool:
        return self._login is not None

    def restart(self) -> bytes:
        """Forget what was said in the clear and start again, since the handshake is done (RFC 3207 4.2)."""
        self.secure = True
        self.extensions = {}
        return b"EHLO " + self.hostname

    def scrub(self, lines: list[bytes]) -> list[bytes]:
        """Return lines of the server without our secrets."""
        return [self._login.scrub(line) for line in lines] if self._login else lines

    def closed(self, stage: str) -> tuple[str, str, Reply | None]:
        """Return cause, text and reply of a failure: the server closed the connection in place of an answer."""
        if stage == "login" and self._refusal:
            return "login-refused", self._refusal.text, self._refusal
        return "lost", "the server closed the connection", None

    def answered(self, command: int, reply: Reply, lines: list[bytes]) -> tuple[int, bytes]:
        """Return what comes next: a command and its line, UPGRADE or DONE. Raise Refused."""
        if command == EHLO:
            return self._after_ehlo(reply, lines)
        if command == AUTH:
            return self._after_auth(reply, lines)
        if command == TLS:
            if reply.code == 220:
                return UPGRADE, b""
            raise Refused("no-starttls", reply.text, reply)
        if not reply.ok:
            raise Refused("rejected", reply.text, reply)
        return (EHLO, b"EHLO " + self.hostname) if command == BANNER else (DONE, b"")

    def _after_ehlo(self, reply: Reply, lines: list[bytes]) -> tuple[int, bytes]:
        tls_due = self._starttls and not self.secure
        if reply.ok:
            for line in lines[1:]:
                words = line.decode("ascii", "replace").upper().replace("AUTH=", "AUTH ", 1)
                keyword, _, parameters = words.partition(" ")
                self.extensions[keyword] = f"{self.extensions.get(keyword, '')} {parameters}".strip()
            if tls_due:
                if "STARTTLS" in self.extensions:
                    return TLS, b"STARTTLS"
                raise Refused("no-starttls", "the server does not offer STARTTLS", None, "starttls")
            return self._choose_login(self._login) if self._login else (DONE, b"")
        unknown = reply.code in (500, 502)
        if tls_due and unknown:
            raise Refused("no-starttls", "the server knows no EHLO, so it has no STARTTLS", reply, "starttls")
        if self._login and unknown:
            raise Refused("no-common-auth", "the server knows no EHLO, so it has no login", reply, "login")
        if reply.permanent and not (self._login or tls_due):
            return HELO, b"HELO " + self.hostname
        raise Refused("rejected", reply.text, reply)

    def _choose_login(self, login: Login) -> tuple[int, bytes]:
        offered = self.extensions.get("AUTH", "").split()
        self._mechanisms = login.mechanisms(offered, self.secure)
        if self._mechanisms:
            return self._begin_login(login)
        text = f"the server offers only {' '.join(offered)} to log in by" if offered else "the server offers no login"
        raise Refused("no-common-auth", text[:MAX_TEXT], None, "login")

    def _begin_login(self, login: Login) -> tuple[int, bytes]:
        mechanism = self._mechanisms[0]
        command = b"AUTH " + mechanism.encode()
        self._challenges = 0
        if mechanism == "PLAIN":
            response = b2a_base64(login.response(mechanism, 0, b""), newline=False)
            if len(response) <= MAX_INITIAL_RESPONSE:
                command += b" " + response
                self._challenges = 1
        return AUTH, command

    def _after_auth(self, reply: Reply, lines: list[bytes]) -> tuple[int, bytes]:
        if reply.ok:
            self.mechanism = self._mechanisms[0]
            return DONE, b""
        if self._login and reply.code == 334 and self._challenges < _MAX_CHALLENGES:
            try:
                challenge = a2b_base64(lines[0])
            except ValueError:
                challenge = b""
            response = self._login.response(self._mechanisms[0], self._challenges, challenge)
            self._challenges += 1
            return AUTH, b2a_base64(response, newline=False)
        broken = (
            reply.permanent and self._mechanisms[0] == "CRAM-MD5"
        )  # many servers offer it and keep no plain secrets
        if self._login and len(self._mechanisms) > 1 and (reply.code == 504 or broken):
            self._refusal = reply
            del self._mechanisms[0]
            return self._begin_login(self._login)
        raise Refused("login-refused", reply.text, reply)
