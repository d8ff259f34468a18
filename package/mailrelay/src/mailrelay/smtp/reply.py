"""One reply of an SMTP server (RFC 5321 4.2), ours or a smarthost's, as a value.

Knows nothing of what it answers. The server's replies are in replies.py; reply_reader.py makes those of a smarthost.
"""

from __future__ import annotations


class Reply:
    """A reply code, an enhanced status code (RFC 3463; "" if there is none), and the text in words for people."""

    __slots__ = ("_wire", "code", "enhanced", "text")

    def __init__(self, code: int, enhanced: str, text: str) -> None:
        """text: a line for each line of the reply."""
        self.code = code
        self.enhanced = enhanced
        self.text = text
        self._wire = b""

    @property
    def ok(self) -> bool:
        return 200 <= self.code < 300

    @property
    def permanent(self) -> bool:
        return self.code >= 500

    def fill(self, *values: object) -> Reply:
        """Return this reply with `values` in the places that its text leaves open."""
        return Reply(self.code, self.enhanced, self.text % values)

    def wire(self) -> bytes:
        """Return the reply as it is sent; made once, since most are said again and again."""
        if not self._wire:
            enhanced = f"{self.enhanced} " if self.enhanced else ""
            *before, last = self.text.split("\n")
            lines = [f"{self.code}-{enhanced}{line}\r\n" for line in before]
            self._wire = f"{''.join(lines)}{self.code} {enhanced}{last}\r\n".encode()
        return self._wire

    def __str__(self) -> str:
        return " ".join(filter(None, (str(self.code), self.enhanced, self.text)))

    def __repr__(self) -> str:
        return f"<Reply {self}>"
