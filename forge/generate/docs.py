"""Writes what the docs take from the code: the option tables of docs/owner/CONFIG.md, from the relay's schema.

Prose is written by hand around the markers; a test compares the committed file with what `render` makes of it.
`python3 -m forge.generate.docs` brings it up to date.
"""

from __future__ import annotations

import importlib
import re
import sys
from typing import Any

from forge.core import paths

CONFIG = paths.DOCS / "owner/CONFIG.md"
_MARKED = re.compile(r"(<!-- options of (\w+)[^>]*-->\n).*?(<!-- end -->)", re.DOTALL)


def render(text: str) -> str:
    """The text with the table of each section's options between its markers."""
    options = _schema().OPTIONS
    return _MARKED.sub(lambda found: f"{found[1]}\n{table(options[found[2]])}\n{found[3]}", text)


def table(options: tuple[Any, ...]) -> str:
    lines = ["| option | what it sets | write | default |", "|---|---|---|---|"]
    for option in options:
        name = f"`{option.name}`" + (" (list)" if option.many else "")
        lines.append(f"| {name} | {option.help} | {_write(option)} | {_default(option)} |")
    return "\n".join(lines) + "\n"


_WRITE = {
    "text": "text",
    "secret": "text",
    "switch": "`1` or `0`",
    "port": "a port",
    "hostname": "a host name",
    "host": "a host name or address",
    "address": "a mail address",
    "sender": "a mail address or `@domain`",
    "recipient": "a mail address or domain",
    "alias": "`name=address`",
    "net": "an address or network",
    "network": "a name",
    "path": "a full path",
    "spool": "a full path",
    "program": "a full path",
    "rate": "`N/minute`, `N/day`",
    "fingerprint": "64 hex digits",
}


def _write(option: Any) -> str:
    """What the value looks like, with its bounds."""
    kinds, limits = importlib.import_module("mailrelay.config.option_types"), option.limits
    if limits.choices:
        return ", ".join(f"`{choice}`" for choice in limits.choices)
    show = {"integer": str, "size": kinds.show_size, "duration": kinds.show_duration}.get(option.kind)
    if show is None:
        return _WRITE[option.kind]
    noun = {"integer": "a number", "size": "a size", "duration": "a duration"}[option.kind]
    return f"{noun}, {show(limits.low or 0)} to {show(limits.high)}"


def _default(option: Any) -> str:
    if option.required:
        return "(required)"
    if option.computed:
        return str(option.computed)
    values = option.default if option.many else (option.default,)
    return ", ".join(f"`{value}`" for value in values if value) or "–"


def _schema() -> Any:
    """The relay's own, which is imported as on the router: from the folder of its package."""
    if str(paths.RELAY) not in sys.path:
        sys.path.insert(0, str(paths.RELAY))
    return importlib.import_module("mailrelay.config.schema")


def write() -> bool:
    """Brings docs/owner/CONFIG.md up to date; true if it changed."""
    before = CONFIG.read_text(encoding="utf-8")
    after = render(before)
    if after != before:
        CONFIG.write_text(after, encoding="utf-8")
    return after != before


if __name__ == "__main__":
    print(f"{CONFIG.name}: {'written' if write() else 'is up to date'}")
