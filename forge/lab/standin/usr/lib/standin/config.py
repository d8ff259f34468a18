"""Reads files of /etc/config for the stand-in's parts, by the relay's UCI parser, which is tested against libuci."""

from __future__ import annotations

import os

import uci

_parsed: dict[str, tuple[tuple[int, int, int], list[uci.Section]]] = {}  # by path, with what tells a change


def load(package: str) -> list[uci.Section]:
    """The committed sections; none if there is no such file or it cannot be parsed."""
    path = f"/etc/config/{package}"
    try:
        facts = os.stat(path)
        mark = (facts.st_ino, facts.st_mtime_ns, facts.st_size)
        if path not in _parsed or _parsed[path][0] != mark:
            with open(path, "rb") as file:
                _parsed[path] = mark, uci.parse(file.read())
    except (FileNotFoundError, uci.ParseError):
        return []
    return _parsed[path][1]


def words(value: str | list[str] | None) -> list[str]:
    """A list, also where it was written as one option."""
    return value.split() if isinstance(value, str) else list(value or ())
