"""One AUTH dialogue on the LAN side, RFC 4954: LOGIN and PLAIN against a fixed login; these and CRAM-MD5 accepting any.

Used by the SMTP server session. No name and no password is kept, not even for the length of the dialogue, and none is
returned. The login at the provider is `login.py`.
"""

from __future__ import annotations

from _operator import _compare_digest  # hmac.compare_digest, without the memory of hmac and hashlib

from mailrelay.smtp import replies

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, Literal

    from mailrelay.smtp.reply import Reply

    Login = tuple[bytes, bytes] | Literal[True]

ANY_LOGIN: Final = True

# How a step came out.
ASKED: Final = 0  # the client's next line is for respond()
ACCEPTED: Final = 1
WRONG: Final = 2  # a login that failed
REFUSED: Final = 3  # no login at all: given up, or not understood

_NAME: Final = 1
_PASSWORD: Final = 2
_BOTH: Final = 3


class Dialogue:
    """From AUTH to its outcome. Each call returns the outcome of the step and the reply."""

    __slots__ = ("_login", "_name_matched", "_step")

    def __init__(self, login: Login) -> None:
        """login: the only name and password that will do, or ANY_LOGIN."""
        self._login = login
        self._step = 0
        self._name_matched = False

    def begin(self, argument: bytes) -> tuple[int, Reply]:
        """Take AUTH's argument: the mechanism, and maybe the first response."""
        mechanism, _, response = argument.partition(b" ")
        mechanism = mechanism.upper()
        if mechanism == b"LOGIN":
            self._step, question = _NAME, replies.ASK_NAME
        elif mechanism == b"PLAIN":
            self._step, question = _BOTH, replies.ASK_BOTH
        elif mechanism == b"CRAM-MD5" and self._login is True:  # RFC 2195; it has no first response
            self._step = _BOTH
            return ASKED, replies.ASK_DIGEST
        else:
            return REFUSED, replies.MECHANISMS
        response = response.strip()
        return self.respond(response) if response else (ASKED, question)

    def respond(self, response: bytes) -> tuple[int, Reply]:
        """Take a line of the client, without its line end."""
        if response == b"*":
            return REFUSED, replies.LOGIN_GIVEN_UP
        if self._login is True:
            if self._step == _NAME:
                self._step = _PASSWORD
                return ASKED, replies.ASK_PASSWORD
            return ACCEPTED, replies.LOGGED_IN
        name, password = self._login
        from binascii import a2b_base64  # a library of its own, and few machines log in

        try:
            shown = a2b_base64(b"" if response == b"=" else response)
        except ValueError:
            return REFUSED, replies.NOT_BASE64
        if self._step == _NAME:
            self._name_matched = _compare_digest(shown, name)
            self._step = _PASSWORD
            return ASKED, replies.ASK_PASSWORD
        if self._step == _BOTH:
            _, _, pair = shown.partition(b"\0")
            shown_name, _, shown = pair.partition(b"\0")
            self._name_matched = _compare_digest(shown_name, name)
        # Both are compared, whatever the first says: how long it takes tells nothing.
        if _compare_digest(shown, password) & self._name_matched:
            return ACCEPTED, replies.LOGGED_IN
        return WRONG, replies.WRONG_LOGIN
