"""Checks a config: `check` turns its text into Settings and names every fault in it.

`mailrelay check`, `serve` and the courier's start call it. What the options are stands in `options`, what they mean to
each other in `rules`. It never stays in memory.
"""

from __future__ import annotations

import os
import re

from mailrelay.config import rules, uci
from mailrelay.config.findings import Finding, Part
from mailrelay.config.invalid import InvalidValue, Setting, nearest, quoted
from mailrelay.config.machine import Machine
from mailrelay.config.option_types import SPACE_FREE
from mailrelay.config.options import OPTIONS, Option
from mailrelay.config.settings import Client, Main, Settings, Smarthost
from mailrelay.core.net import Net

_CUT = "and what follows is not read"
_QUOTE = "write a ' inside single quotes as '\\''"
_COMMENT = "is followed by a comment, which may have been meant to belong to it"
_ALONE = "put the value into 'single quotes', and a comment on a line of its own"
_MISREAD = {  # problem and hint, by the marks of uci.Section.misread
    "#": (f"ends at the #, {_CUT}", "put it into 'single quotes'"),
    ";": (f"ends at the ;, {_CUT}", "put it into 'single quotes'"),
    "'": ("has a ' within it that is not read, as a quote ends or begins there", _QUOTE),
    '"': ('has a " within it that is not read, as a quote ends or begins there', "put it into 'single quotes'"),
    "\\": ("has a \\ within it that is not read", "put it into 'single quotes'"),
    " #": (_COMMENT, _ALONE),
    "' #": (_COMMENT, _ALONE),
}
Checked = tuple[Settings | None, list[Finding], list[Finding]]
_SECTION_WORDS = {
    "main": "mailrelay", "relay": "mailrelay", "global": "mailrelay", "provider": "smarthost", "server": "smarthost",
    "relayhost": "smarthost", "smtp": "smarthost", "account": "smarthost", "device": "client", "machine": "client",
}  # fmt: skip
# What other programs and other sections call the same thing.
_OPTION_WORDS = {
    "user": "username", "login": "username", "name": "username", "pass": "password", "passwd": "password",
    "server": "host", "smarthost": "host", "relayhost": "host", "relay": "host", "smtp_server": "host",
    "mailhub": "host", "ssl": "tls", "security": "tls", "encryption": "tls", "use_tls": "tls", "starttls": "tls",
    "from": "sender", "to": "recipient", "interface": "network", "listen": "network", "mynetworks": "allow",
    "subnet": "allow", "ports": "port", "ip": "address", "ipaddr": "address", "enable": "enabled",
    "disabled": "enabled", "myhostname": "hostname", "helo": "hostname", "maxsize": "max_message_size",
    "cafile": "ca_file", "tls_verify": "verify",
}  # fmt: skip


def check(data: bytes, path: str, machine: Machine) -> Checked:
    """Return the settings of a config's text (None if there is a fault), all faults in it, and the warnings.

    `path` is what findings call the file, `machine` the one that the settings are for.
    """
    findings: list[Finding] = []
    try:
        sections = uci.parse(data)
    except uci.ParseError as error:
        return None, [_unreadable(error, path, data)], []
    parts: list[Part] = []
    counts: dict[str, int] = {}
    for section in sections:
        index = counts[section.type] = counts.get(section.type, -1) + 1
        part = Part(path, section, section.name or f"{section.type}[{index}]", findings)
        if section.type not in OPTIONS:
            _unknown_section(part)
            continue
        if section.type == "mailrelay" and section.name != "main":
            problem, hint = "is not the one section that counts", "write config mailrelay 'main', once"
            part.fault("second-main", "", problem, hint)
            continue
        _read(part)
        parts.append(part)
    if not any(part.type == "mailrelay" for part in parts):
        part = Part(path, uci.Section("mailrelay", "main", "main", 0), "main", findings)
        _read(part)
        parts.insert(0, part)
    rules.run(parts, machine)
    findings.sort(key=lambda finding: finding.line)
    faults = [finding for finding in findings if not finding.warning]
    warnings = [finding for finding in findings if finding.warning]
    return (None if faults else _settings(parts)), faults, warnings


def load(path: str, machine: Machine) -> Checked:
    """Check a file. A file that cannot be read is a fault too."""
    try:
        with open(path, "rb") as file:
            data = file.read()
            mode = os.fstat(file.fileno()).st_mode
    except OSError as error:
        hints = {
            FileNotFoundError: "write it, or name another one with --config",
            PermissionError: "only root can read it, as it holds passwords: run this as root",
        }
        hint = hints.get(type(error), "name the file with --config")
        problem, values = f"cannot be read: {error.strerror}", {"error": str(error.strerror)}
        return None, [Finding(path, 0, False, "unreadable", "", "", problem, (hint,), values)], []
    settings, faults, warnings = check(data, path, machine)
    if mode & 0o077 and b"password" in data:
        problem, hint = "can be read by others, and it holds passwords", f"run chmod 600 {path}"
        warnings.insert(0, Finding(path, 0, True, "readable-by-others", "", "", problem, (hint,)))
    return settings, faults, warnings


def _unreadable(error: uci.ParseError, path: str, data: bytes) -> Finding:
    """Put libuci's error into words. Never show the line, which may hold a password."""
    hints = {
        "invalid command": "a line starts with config, option, list or #",
        "too many arguments": f"put a value that has a space in it into 'single quotes'; {_QUOTE}",
        "insufficient arguments": "write config TYPE 'NAME' or option NAME 'VALUE'",
        "option/list command found before the first section": "write config mailrelay 'main' above it",
        "invalid character in name field": "a name has letters, digits and _ only; no hyphen, no space",
        "invalid character in type field": "write config mailrelay, config smarthost or config client",
        "section of different type overwrites prior section with same name": "give each section a name of its own",
    }
    hint = hints.get(error.reason, "write config TYPE 'NAME' or option NAME 'VALUE'")
    if "unterminated" in error.reason:
        hint = f"close the quote; {_QUOTE}"
    word = data.split(b"\n")[error.began - 1].split()[:1]
    near = nearest(word[0].decode("ascii", "replace"), ("config", "option", "list")) if word else None
    if error.reason == "invalid command" and near and word[0] != near.encode():
        hint = f"write '{near}'; {hint}"
    return Finding(
        path,
        error.began,
        False,
        "syntax",
        "",
        "",
        f"cannot be parsed ({error.reason})",
        (hint,),
        {"reason": error.reason, "line": str(error.began)},
    )


def _unknown_section(part: Part) -> None:
    meant = _SECTION_WORDS.get(part.type.lower()) or nearest(part.type, OPTIONS)
    known = "the types are " + ", ".join(f"'{name}'" for name in OPTIONS)
    if meant == "mailrelay":
        known = "write config mailrelay 'main'"
    elif meant:
        known = f"did you mean '{meant}'? {known}"
    part.fault("unknown-section", "", f"is of an unknown type {quoted(part.type)}", known, value=part.type)


def _unknown_option(part: Part, name: str) -> str:
    """Return the option that was probably meant, or ""."""
    names = [option.name for option in OPTIONS[part.type]]
    meant = _OPTION_WORDS.get(name.lower(), "")
    meant = meant if meant in names else nearest(name, names) or ""
    elsewhere = [kind for kind in OPTIONS for option in OPTIONS[kind] if option.name == name]
    if elsewhere and not (meant and name.lower() in _OPTION_WORDS):
        hint = f"it belongs into a section of type '{elsewhere[0]}'"
    elif meant:
        hint = f"did you mean '{meant}'?"
    else:
        hint = "the options here are " + ", ".join(names)
    part.fault("unknown-option", name, "is not known here", hint)
    return meant


def _read(part: Part) -> None:
    """Fill in the part's values; defaults for what is missing, and None for what is faulty."""
    known = {option.name: option for option in OPTIONS[part.type]}
    for name, line in part.section.overridden:
        last = part.section.option_lines[name][-1]
        part.warn(
            "twice", name, f"stands twice, and line {last} counts", "remove one of the two", line=line, last=str(last)
        )
    for name, line, mark in part.section.misread:
        if mark != "' #" or (name in known and known[name].secret):
            part.warn("cut", name, *_MISREAD[mark], line=line)
    misspelt = {_unknown_option(part, name) for name in part.section.options if name not in known}
    for option in known.values():
        written = part.section.options.get(option.name)
        if written is None:
            value = None if option.name in misspelt else option.initial()
        elif option.many:
            value = _read_list(part, option, written)
        elif isinstance(written, list):
            setting = Setting(option.name, "...")
            part.fault("no-list", option.name, "is a `list` here", "write one line: ", setting)
            value = None
        else:
            value = _read_value(part, option, written, 0)
        part.values[option.name] = value


def _read_list(part: Part, option: Option, written: str | list[str]) -> list[object] | None:
    entries = [written] if isinstance(written, str) else written
    values: list[object] = []
    for index, entry in enumerate(entries):
        pieces = entry.split(" ") if option.type in SPACE_FREE else [entry]
        values += [_read_value(part, option, piece, index) for piece in pieces if piece]
    return None if None in values else list(dict.fromkeys(values))


def _read_value(part: Part, option: Option, text: str, index: int) -> object:
    try:
        return option.read(text)
    except InvalidValue as invalid:
        subject = "its value" if option.secret else invalid.subject or quoted(text)
        values = {} if option.secret else {"value": quoted(text).strip("'"), **_instead(invalid)}
        problem = f"{subject} {invalid.problem}"
        part.fault(f"no-{option.type}", option.name, problem, *invalid.hint, index=index, **values)
        return None


def _instead(invalid: InvalidValue) -> dict[str, str]:
    """Return the value that the hint proposes, if it proposes one."""
    first = invalid.hint[0] if invalid.hint else ""
    found = re.match("write '([^']+)'", first) if isinstance(first, str) else None
    return {"instead": found[1]} if found else {}


def _settings(parts: list[Part]) -> Settings:
    def fields(part: Part) -> dict[str, object]:
        values: dict[str, object] = {}
        for option in OPTIONS[part.type]:
            value = part.values[option.name]
            values.update(zip(option.fills, value if isinstance(value, tuple) else (value,), strict=True))
        return values

    main = Main(**fields(next(part for part in parts if part.type == "mailrelay")))
    smarthosts = [Smarthost(name=part.title, **fields(part)) for part in parts if part.type == "smarthost"]
    smarthosts = sorted((host for host in smarthosts if host.enabled), key=lambda host: host.priority)
    clients = [Client(**fields(part)) for part in parts if part.type == "client"]
    clients.sort(key=lambda client: -Net.parse(client.address).length)
    return Settings(main=main, smarthosts=smarthosts, clients=clients, provider=bool(smarthosts))
