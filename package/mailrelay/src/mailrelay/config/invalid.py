"""A value that cannot be used, and how a message speaks of it. `option_types` and `addresses` raise it.

Knows no option and no type. `text` is here because every other reader begins with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from mailrelay.core.text import printable

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Setting:
    """A line of the config within a hint. Whoever shows the hint writes it in his own way: `str` as in the config.

    Without a value it is the option's name alone; with the type of a section in place of an option, its head.
    """

    __slots__ = ("option", "value", "word")

    def __init__(self, option: str, value: str = "", word: str = "option") -> None:
        self.option = option
        self.value = value
        self.word = word  # "option", "list" or "config"

    def __str__(self) -> str:
        return f"{self.word} {self.option} '{self.value}'" if self.value else f"{self.word} {self.option}"


Hint = tuple[str | Setting, ...]


class InvalidValue(ValueError):
    """The value is not of its type: what is wrong with it (its subject is the value), and what would be right."""

    def __init__(self, problem: str, *hint: str | Setting, subject: str | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint
        self.subject = subject  # names the value in the message where the whole of it would mislead


def quoted(text: str) -> str:
    """Quote a value for a message: on one line, not too long, and without a password that a URL may hold."""
    if "://" in text and "@" in text:
        return "this URL"
    text = printable(text)
    return f"'{text if len(text) <= 60 else text[:57] + '...'}'"


def nearest(word: str, words: Iterable[str]) -> str | None:
    """Return the one of `words` that was probably meant."""
    import difflib  # costs memory and time that a correct config does not need

    by_folded = {known.lower().replace("-", "_"): known for known in words}
    near = difflib.get_close_matches(word.lower().replace("-", "_"), by_folded, 1, 0.6)
    return by_folded[near[0]] if near else None


def text(value: str) -> str:
    """Read any text that fits on a line: what goes into an SMTP command must not be able to start another one."""
    if _CONTROL.search(value):
        raise InvalidValue(
            "holds a line break, a control character or bytes that are not UTF-8", "type it anew, on one line"
        )
    if not value.isprintable():
        raise InvalidValue("holds an invisible character, perhaps from a page it was copied from", "type it anew")
    return value
