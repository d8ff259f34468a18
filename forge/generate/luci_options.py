"""Makes what LuCI's settings page knows of the options, mailrelay/options.js, of the relay's schema.

Names, types, bounds, choices, defaults and help texts stand there alone; the views add titles and an order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from forge.core import paths
from forge.generate.relay_schema import FALSE, LOCAL_PART, NAME, OPTIONS, SPACE_FREE, TRUE, TYPES, Option

FILE = paths.PACKAGES / "luci-app-mailrelay/htdocs/luci-static/resources/mailrelay/options.js"
Value = str | int | bool | list[str] | Mapping[str, int]

HEAD = """\
'use strict';
'require baseclass';

/* Made from the relay's schema by `./inv generate`. */
return baseclass.extend({
"""


def render(_: str) -> str:
    words: dict[str, Value] = {
        "yes": list(TRUE),
        "no": list(FALSE),
        "spaceFree": sorted(SPACE_FREE),
        "name": NAME,
        "localPart": LOCAL_PART,
    }
    parts = [f"\t{name}: {literal(value)},\n" for name, value in words.items()]
    types = ",\n".join(f"\t\t{name}: {{ {', '.join(_type(name))} }}" for name in TYPES)
    parts.append(f"\ttypes: {{\n{types}\n\t}},\n")
    sections = ",\n".join(f"\t\t{section}: {{\n{_options(options)}\n\t\t}}" for section, options in OPTIONS.items())
    parts.append(f"\tsections: {{\n{sections}\n\t}}\n")
    return HEAD + "".join(parts) + "});\n"


def _type(name: str) -> list[str]:
    type = TYPES[name]
    facts: dict[str, Value] = {"pattern": type.pattern}
    if type.never:
        facts["never"] = type.never
    if type.units:
        facts["units"] = type.units
    return [*_texts(facts), f"text: _({literal(type.text)})"]


def _options(options: tuple[Option, ...]) -> str:
    return ",\n".join(f"\t\t\t{option.name}: {{ {', '.join(_facts(option))} }}" for option in options)


def _facts(option: Option) -> list[str]:
    type, limits = TYPES[option.type], option.limits
    facts: dict[str, Value] = {"type": option.type}
    if option.many:
        facts["list"] = True
    if option.required:
        facts["required"] = True
    default = option.default if isinstance(option.default, str) else "".join(option.default[:1])
    if default:
        facts["value"] = default
    if limits.choices:
        facts["choices"] = list(limits.choices)
    if limits.high is not None:
        facts |= {"low": limits.low or 0, "high": limits.high}
        if type.noun:
            facts |= {"lowText": type.show(limits.low or 0), "highText": type.show(limits.high)}
    texts = _texts(facts)
    if option.computed:
        texts.append(f"computed: _({literal(option.computed)})")
    return [*texts, f"help: _({literal(option.help)})"]


def _texts(facts: Mapping[str, Value]) -> list[str]:
    return [f"{name}: {literal(value)}" for name, value in facts.items()]


def literal(value: Value) -> str:
    """Write a value as LuCI's sources do: strings in single quotes."""
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    if isinstance(value, list):
        return f"[ {', '.join(map(literal, value))} ]"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{literal(key)}: {literal(item)}" for key, item in value.items()) + " }"
    return json.dumps(value)
