"""Makes /usr/share/mailrelay/options of the relay's schema: types and options, in a table for a router's awk.

registry.py calls this. The Postfix engine checks and renders the config with the table, so that names, expressions,
defaults and bounds stand in one place, the schema: none is written here.
"""

from __future__ import annotations

from forge.core import paths
from forge.generate.relay_schema import LOCAL_PART, NAME, OPTIONS, PRIVATE_DOMAIN, TYPES, Option

TABLE = paths.PACKAGES / "mailrelay/root/usr/share/mailrelay/options"
TYPE_FIELDS = ("type", "name", "expression", "never", "text")
FIELDS = ("section", "option", "type", "list", "default", "low", "high", "choices", "required")


def render(_: str) -> str:
    """Write a line for each type ("type" stands first) and each option, its fields between tabs, "-" for none.

    Expressions are POSIX extended ones for the whole value; `never` ones must not match it. Sizes are bytes, durations
    seconds.
    """
    lines = ["# Made from the relay's schema by `./inv generate`."]
    lines += ["# " + "\t".join(TYPE_FIELDS)]
    lines += [_line("type", name, type.pattern, type.never, type.text) for name, type in TYPES.items()]
    parts = {"name": NAME, "local_part": LOCAL_PART, "private_domain": PRIVATE_DOMAIN}
    lines += [_line("part", name, pattern) for name, pattern in parts.items()]
    lines += ["# " + "\t".join(FIELDS)]
    lines += [_option(section, option) for section, options in OPTIONS.items() for option in options]
    return "\n".join(lines) + "\n"


def _option(section: str, option: Option) -> str:
    default = " ".join(option.default) if isinstance(option.default, tuple) else option.default
    limits = option.limits
    return _line(
        section,
        option.name,
        option.type,
        "list" if option.many else "",
        default,
        limits.low,
        limits.high,
        ",".join(limits.choices),
        "required" if option.required else "",
    )


def _line(*cells: str | int | None) -> str:
    return "\t".join("-" if cell in (None, "") else str(cell) for cell in cells)
