"""Writes what LuCI's settings page knows of the options: mailrelay/options.js, from the relay's schema.

Names, kinds, bounds, choices, defaults and help texts stand there alone; the views add titles and an order. A test
compares the committed file with `render`. `python3 -m forge.generate.luci_options` brings it up to date.
"""

from __future__ import annotations

import importlib
import json
from typing import Any

from forge.core import paths
from forge.generate import docs

FILE = paths.PACKAGES / "luci-app-mailrelay/htdocs/luci-static/resources/mailrelay/options.js"
HEAD = """\
'use strict';
'require baseclass';

/* Made from the relay's schema.py by `python3 -m forge.generate.luci_options`. */
return baseclass.extend({
"""


def render() -> str:
    schema, kinds = docs._schema(), importlib.import_module("mailrelay.config.option_types")
    words = {
        "yes": list(kinds._TRUE),
        "no": list(kinds._FALSE),
        "sizes": kinds._SIZE_UNITS,
        "durations": kinds._TIME_UNITS,
        "noSpool": sorted(kinds._NO_SPOOL),
        "spaceFree": sorted(kinds.SPACE_FREE),
    }
    lines = [f"\t{name}: {_literal(value)},\n" for name, value in words.items()]
    sections = [f"\t\t{section}: {{\n{_options(options)}\t\t}}" for section, options in schema.OPTIONS.items()]
    return HEAD + "".join(lines) + "\tsections: {\n" + ",\n".join(sections) + "\n\t}\n});\n"


def _options(options: tuple[Any, ...]) -> str:
    return ",\n".join(f"\t\t\t{option.name}: {{ {', '.join(_facts(option))} }}" for option in options) + "\n"


def _facts(option: Any) -> list[str]:
    kinds, limits = importlib.import_module("mailrelay.config.option_types"), option.limits
    facts: dict[str, Any] = {"kind": option.kind}
    if option.many:
        facts["list"] = True
    if option.required:
        facts["required"] = True
    default = option.default[0] if option.many and option.default else option.default
    if default:
        facts["value"] = default
    if limits.choices:
        facts["choices"] = list(limits.choices)
    show = {"integer": str, "size": kinds.show_size, "duration": kinds.show_duration}.get(option.kind)
    if show and limits.high is not None:
        low = limits.low or 0
        facts |= {"low": low, "high": limits.high, "lowText": show(low), "highText": show(limits.high)}
    texts = [f"{name}: {_literal(value)}" for name, value in facts.items()]
    if option.computed:
        texts.append(f"computed: _({_literal(option.computed)})")
    return [*texts, f"help: _({_literal(option.help)})"]


def _literal(value: Any) -> str:
    """A value as LuCI's sources write it: strings in single quotes."""
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    if isinstance(value, list):
        return f"[ {', '.join(map(_literal, value))} ]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_literal(key)}: {_literal(item)}" for key, item in value.items()) + " }"
    return json.dumps(value)


def write() -> bool:
    """Brings the file up to date; true if it changed."""
    before = FILE.read_text(encoding="utf-8") if FILE.exists() else ""
    after = render()
    if after != before:
        FILE.write_text(after, encoding="utf-8")
    return after != before


if __name__ == "__main__":
    print(f"{FILE.name}: {'written' if write() else 'is up to date'}")
