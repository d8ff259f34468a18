"""Text of strangers in a form that no terminal and no log obeys."""

from __future__ import annotations


def printable(value: str | bytes) -> str:
    """Put "?" for each character that cannot be seen, where it does not matter which."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return "".join([c if c.isprintable() else "?" for c in text])


def escaped(value: str | bytes, kept: str = "") -> str:
    """Show each character that cannot be seen by its number, as \\x1b; bytes as UTF-8. `kept` ones stay."""
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
    if text.isprintable():
        return text
    return "".join([c if c.isprintable() or c in kept else _escape(ord(c)) for c in text])


def _escape(code: int) -> str:
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
