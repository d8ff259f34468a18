"""The secret half of a login: which SASL mechanism to use, and what to answer it. No dialogue; client leads that.

PLAIN is RFC 4616, CRAM-MD5 is RFC 2195, LOGIN was never more than a draft.
"""

from __future__ import annotations

from binascii import b2a_base64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Login:
    """A name and a password. method: 'auto', 'plain', 'login' or 'cram-md5'."""

    __slots__ = ("username", "password", "method")

    def __init__(self, username: str, password: str, method: str = "auto") -> None:
        self.username = username.encode()
        self.password = password.encode()
        self.method = method

    def mechanisms(self, offered: Sequence[str], secure: bool) -> list[str]:
        """Return what to try, best first. Without TLS the one that does not show the password goes first."""
        if self.method != "auto":
            ours = [self.method.upper()]
        else:
            ours = ["PLAIN", "LOGIN", "CRAM-MD5"] if secure else ["CRAM-MD5", "PLAIN", "LOGIN"]
        return [name for name in ours if name in offered]

    def response(self, mechanism: str, step: int, challenge: bytes) -> bytes:
        """Return the response to challenge number `step`, not yet in base64; b"" to what the mechanism does not know.

        Error challenges are such: they end in a plain refusal once answered with an empty line.
        """
        if mechanism == "PLAIN" and step == 0:
            return b"\0" + self.username + b"\0" + self.password
        if mechanism == "LOGIN" and step < 2:
            return self.password if step else self.username
        if mechanism == "CRAM-MD5" and step == 0:
            import hmac

            return self.username + b" " + hmac.new(self.password, challenge, "md5").hexdigest().encode()
        return b""

    def scrub(self, line: bytes) -> bytes:
        """Return `line` without our secrets, should a server repeat what it was told."""
        plain = self.response("PLAIN", 0, b"")
        for secret in (plain, self.password):
            for form in (b2a_base64(secret, newline=False), secret):
                if form:
                    line = line.replace(form, b"[...]")
        return line
