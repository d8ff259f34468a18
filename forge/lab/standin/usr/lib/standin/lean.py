"""What the daemon needs of json, hashlib, fnmatch and signal, without importing them: with `re` and `enum`, which they
bring along, a small router's daemon would start in twice the time.
"""

from __future__ import annotations

import _json

TYPE_CHECKING = False
if TYPE_CHECKING:
    import hashlib as digests
    from typing import Any
else:
    import _md5 as digests

SIGKILL, SIGTERM = 9, 15


class _Context:
    """What _json's scanner asks of json.JSONDecoder."""

    strict = False
    object_hook = object_pairs_hook = None
    parse_float, parse_int, parse_constant = float, int, float
    memo: dict[str, str] = {}


_scan: Any = _json.make_scanner(_Context())  # type: ignore[arg-type]
_quote = _json.encode_basestring


def loads(text: str) -> Any:
    """The value of a JSON text; ValueError for anything else."""
    text = text.strip(" \t\n\r")
    try:
        value, end = _scan(text, 0)
    except (StopIteration, SystemError):  # the latter where it has no json to take its own error from
        end = -1
    if end != len(text):
        raise ValueError("this is no JSON")
    return value


def scalar(value: Any) -> str:
    """As JSON: a string, a number, true, false or null."""
    if isinstance(value, str):
        return str(_quote(value))
    return "null" if value is None else repr(value).lower() if isinstance(value, bool) else repr(value)


def dumps(value: Any) -> str:
    """JSON on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_quote(str(key))}: {dumps(one)}" for key, one in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(dumps, value)) + "]"
    return scalar(value)


def md5(data: bytes) -> str:
    return str(digests.md5(data).hexdigest())


def matches(text: str, pattern: str) -> bool:
    """Shell patterns, of which only `*` is used here."""
    head, star, tail = pattern.partition("*")
    if not star:
        return text == pattern
    return text.startswith(head) and any(matches(text[at:], tail) for at in range(len(head), len(text) + 1))
