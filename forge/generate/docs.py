"""What the docs take from the code: the option tables of docs/owner/CONFIG.md, from the relay's schema.

Prose is written by hand around the markers.
"""

from __future__ import annotations

import re

from forge.core import paths
from forge.generate.relay_schema import OPTIONS, TYPES, Option

CONFIG = paths.DOCS / "owner/CONFIG.md"
_MARKED = re.compile(r"(<!-- options of (\w+)[^>]*-->\n).*?(<!-- end -->)", re.DOTALL)


def render(text: str) -> str:
    """Return the text with the table of each section's options between its markers."""
    return _MARKED.sub(lambda found: f"{found[1]}\n{table(OPTIONS[found[2]])}\n{found[3]}", text)


def table(options: tuple[Option, ...]) -> str:
    lines = ["| option | what it sets | write | default |", "|---|---|---|---|"]
    for option in options:
        name = f"`{option.name}`" + (" (list)" if option.many else "")
        lines.append(f"| {name} | {option.help} | {_write(option)} | {_default(option)} |")
    return "\n".join(lines) + "\n"


def _write(option: Option) -> str:
    """Say what the value looks like, with its bounds."""
    type, limits = TYPES[option.type], option.limits
    if limits.choices:
        return ", ".join(f"`{choice}`" for choice in limits.choices)
    if type.noun and limits.high is not None:
        return f"{type.noun}, {type.show(limits.low or 0)} to {type.show(limits.high)}"
    return type.text


def _default(option: Option) -> str:
    if option.required:
        return "(required)"
    if option.computed:
        return option.computed
    values = option.default if isinstance(option.default, tuple) else (option.default,)
    return ", ".join(f"`{value}`" for value in values if value) or "–"
