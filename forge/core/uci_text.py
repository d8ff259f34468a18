"""UCI's file format, written: /etc/config/NAME from sections with their options (OpenWrt's uci, file.c).

The demo, the bench, forge/site/relay.py and the tests call this. It knows no option and checks nothing; reading UCI is
for the relay's own parser.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Options = Mapping[str, str | int | Sequence[str]]


def uci(sections: Sequence[tuple[str, Options]]) -> str:
    """Config text from (type and name, options); an option with several values becomes a list."""
    lines = []
    for section, options in sections:
        kind, _, name = section.partition(" ")
        lines += ["", f"config {kind} {quoted(name)}".rstrip() if name else f"config {kind}"]
        for option, value in options.items():
            if isinstance(value, (str, int)):
                lines.append(f"\toption {option} {quoted(str(value))}")
            else:
                lines += [f"\tlist {option} {quoted(item)}" for item in value]
    return "\n".join(lines[1:]) + "\n"


def quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
