"""Writes /usr/share/mailrelay/options from the relay's schema: the options as a table that awk on a router can read.

The Postfix engine checks and renders the config with it, so that names, kinds, defaults and bounds stand in one place.
A test compares the committed file with `render`. `python3 -m forge.generate.option_table` brings it up to date.
"""

from __future__ import annotations

from typing import Any

from forge.core import paths
from forge.generate import docs

TABLE = paths.ROOT / "package/mailrelay/root/usr/share/mailrelay/options"
FIELDS = ("section", "option", "kind", "list", "default", "low", "high", "choices", "required")


def render() -> str:
    """A line for each option, its FIELDS between tabs; "-" where there is nothing to say. Sizes are bytes, durations
    seconds."""
    lines = ["# Made from schema.py by `python3 -m forge.generate.option_table`.", "# " + "\t".join(FIELDS)]
    for section, options in docs._schema().OPTIONS.items():
        lines += ["\t".join(_cell(cell) for cell in _row(section, option)) for option in options]
    return "\n".join(lines) + "\n"


def _row(section: str, option: Any) -> tuple[object, ...]:
    default = " ".join(option.default) if option.many else option.default
    limits = option.limits
    return (
        section,
        option.name,
        option.kind,
        "list" if option.many else "",
        default,
        limits.low,
        limits.high,
        ",".join(limits.choices),
        "required" if option.required else "",
    )


def _cell(value: object) -> str:
    return "-" if value in (None, "") else str(value)


def write() -> bool:
    """Brings the table up to date; true if it changed."""
    before = TABLE.read_text(encoding="ascii") if TABLE.exists() else ""
    after = render()
    if after != before:
        TABLE.write_text(after, encoding="ascii")
    return after != before


if __name__ == "__main__":
    print(f"{TABLE.name}: {'written' if write() else 'is up to date'}")
