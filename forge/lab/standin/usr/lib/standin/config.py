"""Reads files of /etc/config for the stand-in's parts, by the relay's UCI parser, which is tested against libuci."""

from __future__ import annotations

import uci


def load(package: str) -> list[uci.Section]:
    """The committed sections; none if there is no such file or it cannot be parsed."""
    try:
        with open(f"/etc/config/{package}", "rb") as file:
            return uci.parse(file.read())
    except (FileNotFoundError, uci.ParseError):
        return []


def words(value: str | list[str] | None) -> list[str]:
    """A list, also where it was written as one option."""
    return value.split() if isinstance(value, str) else list(value or ())


def option(package: str, type: str, name: str) -> str:
    """Of the first section of that type; "" if it is not set."""
    for section in load(package):
        if section.type == type:
            return " ".join(words(section.options.get(name)))
    return ""
