"""The relay's part of a site file: the tables [mailrelay], [smarthost.NAME] and [client.NAME].

Their keys are the options of docs/owner/CONFIG.md. Nothing of them is known here: the tables become the text of
/etc/config/mailrelay, the relay's own schema checks it for a machine of which nothing is known, as it is not this one,
and what it finds is told with the site file's lines. site.py calls read().
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from forge.core import uci_text
from forge.generate import relay_schema
from forge.site import types
from forge.site.toml_document import Document, InvalidValue, Place, Table

_NAME = re.compile(r"[A-Za-z0-9_]+")


def read(top: Table, hostname: str) -> str:
    """Return the text of /etc/config/mailrelay, "" where the file has none of the tables. Faults go to the document."""
    document = top.document
    before = len(document.faults)
    sections: list[tuple[str, dict[str, str | list[str]]]] = []
    places: dict[str, Place] = {}
    main = top.table("mailrelay")
    if any(kind in top for kind in ("mailrelay", "smarthost", "client")):
        options = _options(document, ("mailrelay",), main.data)
        sections.append(("mailrelay main", {**_defaults(options, hostname), **options}))
        places["main"] = ("mailrelay",)
    for kind in ("smarthost", "client"):
        for name, table in top.table(kind).data.items():
            place = (kind, name)
            if not isinstance(table, dict):
                document.fault(
                    (kind,), name, "stands in no section", f"write the section's name above it: [{kind}.NAME]"
                )
            elif not _NAME.fullmatch(name) or name in places:
                taken = "is taken already" if name in places else "is not a name: letters, digits and _ only"
                document.fault(place, "", taken, f"write it like [{kind}.{re.sub('[^A-Za-z0-9_]', '_', name)}_1]")
            else:
                places[name] = place
                sections.append((f"{kind} {name}", _options(document, place, table)))
    if not sections or len(document.faults) > before:
        return ""
    text = uci_text.uci(sections)
    _check(document, text, places)
    return text


def _defaults(options: dict[str, str | list[str]], hostname: str) -> dict[str, str | list[str]]:
    """Return what the package writes into a new router's settings, by the same rule, for what the site leaves out."""
    defaults: dict[str, str | list[str]] = {"enabled": "1"}
    if "network" not in options and "allow" not in options:
        defaults["network"] = ["lan"]
    if hostname:
        defaults["hostname"] = hostname if "." in hostname else f"{hostname}.lan"
    return defaults


def _options(document: Document, place: Place, table: Mapping[str, Any]) -> dict[str, str | list[str]]:
    options: dict[str, str | list[str]] = {}
    for option, value in table.items():
        try:
            if not _NAME.fullmatch(option):
                like = re.sub("[^A-Za-z0-9_]", "_", option)
                raise InvalidValue("is not the name of an option", f"write it like {like}")
            if isinstance(value, list):
                options[option] = [_text(document, option, entry) for entry in value]
            else:
                options[option] = _text(document, option, value)
        except InvalidValue as error:
            document.fault(place, option, error.problem, error.hint)
    return options


def _text(document: Document, option: str, value: Any) -> str:
    """Write a TOML value as UCI does."""
    value = document.indirect(value)
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return types.text(value)
    raise InvalidValue("is neither text nor a number nor true or false", f'write it in quotes: {option} = "…"')


def _check(document: Document, text: str, places: dict[str, Place]) -> None:
    _, faults, warnings = relay_schema.check(text.encode(), str(document.path), relay_schema.Machine())
    for finding in [*faults, *warnings]:
        tell = document.warn if finding.warning else document.fault
        place = places.get(finding.section, ("mailrelay",))
        tell(place, finding.option, finding.problem, finding.advice(_as_toml))


def _as_toml(setting: relay_schema.Setting) -> str:
    """Write a setting that the schema's hint speaks of as a site file has it."""
    if setting.word == "config":
        return f"[{setting.option}.NAME]"
    if not setting.value:
        return setting.option
    value = f'["{setting.value}"]' if setting.word == "list" else f'"{setting.value}"'
    return f"{setting.option} = {value}"
