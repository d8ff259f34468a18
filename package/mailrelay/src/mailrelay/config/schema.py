"""Every section and option of the config: the one place that knows names, types, defaults and help texts.

`check` turns the text of a config into Settings and names every fault in it; `mailrelay check`, `serve` and the courier
call it, and the tables of docs/owner/CONFIG.md and the web forms are made from OPTIONS. It never stays in memory.
"""

from __future__ import annotations

import os
from typing import Any

from mailrelay.config import option_types, rules, uci
from mailrelay.config.findings import Finding, Part
from mailrelay.config.invalid import InvalidValue, Setting, nearest, quoted
from mailrelay.config.machine import Machine
from mailrelay.config.settings import Client, Main, Settings, Smarthost
from mailrelay.core.net import Net

Checked = tuple[Settings | None, list[Finding], list[Finding]]
K, M, G = 1 << 10, 1 << 20, 1 << 30
MINUTE, HOUR, DAY = 60, 3600, 86400


class Option:
    """One option. `default` is written as in the file; "" and () say that there is none, or one that is `computed`."""

    __slots__ = ("name", "type", "default", "help", "many", "limits", "required", "computed", "fills")

    def __init__(
        self,
        name: str,
        type: str,
        default: str | tuple[str, ...],
        help: str,
        low: int | None = None,
        high: int | None = None,
        choices: tuple[str, ...] = (),
        required: bool = False,
        computed: str = "",
        fills: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.type = type
        self.default = default
        self.help = help
        self.many = isinstance(default, tuple)  # a `list`
        least, most = option_types.TYPES[type].bounds
        self.limits = option_types.Limits(least if low is None else low, most if high is None else high, choices)
        self.required = required
        self.computed = computed  # where the default comes from when it is not written here
        self.fills = fills or (name,)  # the fields of the settings that take the value, or its parts

    @property
    def secret(self) -> bool:
        return self.type == "secret"

    def read(self, text: str) -> Any:
        return option_types.TYPES[self.type].read(text, self.limits)

    def initial(self) -> Any:
        """The value where the file has none."""
        if isinstance(self.default, tuple):
            return [self.read(text) for text in self.default]
        if self.default:
            return self.read(self.default)
        return (0,) * len(self.fills) if len(self.fills) > 1 else ""


# fmt: off
OPTIONS: dict[str, tuple[Option, ...]] = {
    "mailrelay": (
        Option("enabled", "switch", "1", "Whether the relay runs at all."),
        Option("network", "network", (),
               "The networks whose machines may send, by name: `lan` on OpenWrt, a network interface like `eth0` "
               "elsewhere. The relay listens on their addresses. This machine itself may always send."),
        Option("allow", "net", (),
               "Further addresses or networks that may send, like `192.168.7.0/24`: those behind another router."),
        Option("port", "port", ("25",), "The ports to listen on."),
        Option("hostname", "hostname", "",
               "The name the relay calls itself by, to machines and to the provider. Never `localhost`: many "
               "providers refuse it.", computed="the system's host name"),
        Option("spool", "spool", "/etc/mailrelay/spool",
               "The folder where mail waits. It must be on storage that survives a power cut: not in `/tmp`, and on "
               "OpenWrt not in `/var`."),
        Option("max_message_size", "size", "25M", "The largest mail that is taken.", low=K, high=G),
        Option("max_queue_size", "size", "0",
               "How much may wait in all; `0` is a quarter of the free space.", high=1024 * G),
        Option("min_free_space", "size", "512K",
               "How much room always stays free on the spool's storage.", high=1024 * G),
        Option("sender", "address", "",
               "Sends every mail as coming from this address, as most providers demand that it is the account's own."
               " The original goes into `Reply-To` or `X-Original-From`."),
        Option("recipient", "address", (), "Sends every mail to these addresses, whoever it was addressed to."),
        Option("alias", "alias", (),
               "Where mail to a local name goes: `root=owner@example.org`, several addresses separated by commas. "
               "The target may also be another alias."),
        Option("allowed_recipient", "recipient", (), "If set, mail is taken only for these addresses and domains."),
        Option("postmaster", "address", "", "Who is told by mail when a mail could not be delivered for good."),
        Option("notify", "program", "",
               "A program that is run when mail cannot say it: mail is stuck or the login is refused. It runs as the"
               " relay's user and finds the facts in its environment."),
        Option("notify_after", "duration", "1h",
               "How long mail may be stuck before `notify` is run.", low=1, high=90 * DAY),
        Option("queue_lifetime", "duration", "5d",
               "How long delivery is tried before a mail counts as failed.", low=1, high=365 * DAY),
        Option("failed_lifetime", "duration", "7d",
               "How long a failed mail is kept, to be read or sent again.", high=365 * DAY),
        Option("retry_min", "duration", "30s",
               "The first wait after a failed attempt; each further one is twice as long.", low=1, high=DAY),
        Option("retry_max", "duration", "15m", "The longest wait between two attempts.", low=1, high=7 * DAY),
        Option("max_connections", "integer", "256",
               "Connections at a time. When full, the one that gets on least is closed.", low=1, high=10000),
        Option("max_connections_per_client", "integer", "64",
               "Connections at a time from one address.", low=1, high=10000),
        Option("max_recipients", "integer", "100", "Recipients of one mail.", low=1, high=10000),
        Option("max_command_length", "size", "2K", "The longest SMTP command.", low=512, high=M),
        Option("max_line_length", "size", "1M",
               "The longest line within a mail. Lines over 998 bytes are folded on the way out.", low=1000, high=G),
        Option("max_header_length", "size", "64K", "The longest header section of a mail.", low=K, high=16 * M),
        Option("max_useless_commands", "integer", "20",
               "Commands without progress before a connection is closed.", low=1, high=10000),
        Option("command_timeout", "duration", "60s",
               "How long a machine may take for one command.", low=1, high=HOUR),
        Option("min_data_rate", "size", "64",
               "How slow a mail may come in, in bytes a second; `0` for any speed.", high=M),
    ),
    "smarthost": (
        Option("enabled", "switch", "1", "Whether this provider is used."),
        Option("host", "host", "",
               "The provider's server for outgoing mail, like `smtp.example.org`.", required=True),
        Option("port", "port", "", "Its port.", computed="587 with `starttls`, 465 with `tls`, 25 with `none`"),
        Option("tls", "choice", "starttls",
               "`starttls`: the connection is encrypted after a first command (port 587). `tls`: it is from the "
               "first byte on (port 465). `none`: it is not; only to private addresses, see `allow_cleartext`.",
               choices=("starttls", "tls", "none")),
        Option("allow_cleartext", "switch", "0",
               "With `tls` `none`: send unencrypted across other people's networks, where all can read it."),
        Option("verify", "switch", "1",
               "Whether the server must prove that it is who it says: certificate and name."),
        Option("ca_file", "path", "",
               "A file of certificate authorities to trust instead of the system's: for a server of your own."),
        Option("fingerprint", "fingerprint", "",
               "The SHA-256 fingerprint of the server's certificate, to trust this one and no other."),
        Option("auth", "choice", "auto",
               "How to log in. `auto` takes the best that the server offers.",
               choices=("auto", "plain", "login", "cram-md5", "none")),
        Option("username", "text", "", "The login name, often the whole mail address."),
        Option("password", "secret", "",
               "The password. Many providers want an *app password* made for this purpose."),
        Option("priority", "integer", "10",
               "The provider with the lowest number is tried first, the others when it fails.", high=65535),
        Option("sender", "sender", (),
               "If set, this provider is only for mail from these addresses or domains (`@example.org`)."),
        Option("rate", "rate", "",
               "How much to send at most: `30/minute`, `500/day`, or both with a space between.",
               fills=("rate_minute", "rate_day")),
        Option("family", "choice", "any",
               "Whether to connect by IPv4, by IPv6 or by any.", choices=("any", "ipv4", "ipv6")),
        Option("timeout", "duration", "60s", "How long to wait for the server's answer.", low=1, high=HOUR),
    ),
    "client": (
        Option("address", "net", "",
               "The machine's address, or a network. The most specific section counts.", required=True),
        Option("accept_any_login", "switch", "0", "For machines that insist on a login: takes whatever they send."),
        Option("username", "text", "", "The login name that these machines must give."),
        Option("password", "secret", "", "The password that goes with it."),
        Option("rate_limit", "integer", "0", "Mails a minute, `0` for any number.", high=1_000_000),
        Option("redirect", "switch", "0",
               "For a machine with a mail server built in, on OpenWrt: what it sends to port 25 of anyone comes to "
               "the relay instead. Wants the address of that one machine."),
    ),
}
# fmt: on

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
    """The settings of a config's text (None if there is a fault), all faults in it, and what its owner should know.

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
    """`check` of a file. A file that cannot be read is a fault too."""
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
        return None, [Finding(path, 0, False, "unreadable", "", "", f"cannot be read: {error.strerror}", (hint,))], []
    settings, faults, warnings = check(data, path, machine)
    if mode & 0o077 and b"password" in data:
        problem, hint = "can be read by others, and it holds passwords", f"run chmod 600 {path}"
        warnings.insert(0, Finding(path, 0, True, "readable-by-others", "", "", problem, (hint,)))
    return settings, faults, warnings


def _unreadable(error: uci.ParseError, path: str, data: bytes) -> Finding:
    """libuci's error in words. It never shows the line, which may hold a password."""
    hints = {
        "invalid command": "a line starts with config, option, list or #",
        "too many arguments": "put a value that has a space in it into 'single quotes'",
        "insufficient arguments": "write config TYPE 'NAME' or option NAME 'VALUE'",
        "option/list command found before the first section": "write config mailrelay 'main' above it",
        "invalid character in name field": "a name has letters, digits and _ only; no hyphen, no space",
        "invalid character in type field": "write config mailrelay, config smarthost or config client",
        "section of different type overwrites prior section with same name": "give each section a name of its own",
    }
    hint = hints.get(error.reason, "write config TYPE 'NAME' or option NAME 'VALUE'")
    if "unterminated" in error.reason:
        hint = "close the quote; a ' inside single quotes is written as '\\''"
    word = data.split(b"\n")[error.began - 1].split()[:1]
    near = nearest(word[0].decode("ascii", "replace"), ("config", "option", "list")) if word else None
    if error.reason == "invalid command" and near and word[0] != near.encode():
        hint = f"write '{near}'; {hint}"
    return Finding(path, error.began, False, "syntax", "", "", f"cannot be parsed ({error.reason})", (hint,))


def _unknown_section(part: Part) -> None:
    meant = _SECTION_WORDS.get(part.type.lower()) or nearest(part.type, OPTIONS)
    known = "the types are " + ", ".join(f"'{name}'" for name in OPTIONS)
    if meant == "mailrelay":
        known = "write config mailrelay 'main'"
    elif meant:
        known = f"did you mean '{meant}'? {known}"
    part.fault("unknown-section", "", f"is of an unknown type {quoted(part.type)}", known)


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
        part.warn("twice", name, f"stands twice, and line {last} counts", "remove one of the two", line=line)
    for name, line, mark in part.section.cut:
        problem = f"ends at the {mark}, and what follows is not read"
        part.warn("cut", name, problem, "put it into 'single quotes'", line=line)
    misspelt = {_unknown_option(part, name) for name in part.section.options if name not in known}
    for option in known.values():
        written = part.section.options.get(option.name)
        if written is None:
            value = None if option.name in misspelt else option.initial()
        elif option.many:
            value = _read_list(part, option, written)
        elif isinstance(written, list):
            one = Setting(option.name, "...")
            part.fault("no-list", option.name, "is a `list` here", "write one line: ", one)
            value = None
        else:
            value = _read_value(part, option, written, 0)
        part.values[option.name] = value


def _read_list(part: Part, option: Option, written: str | list[str]) -> list[Any] | None:
    entries = [written] if isinstance(written, str) else written
    values: list[Any] = []
    for index, entry in enumerate(entries):
        pieces = entry.split(" ") if option.type in option_types.SPACE_FREE else [entry]
        values += [_read_value(part, option, piece, index) for piece in pieces if piece]
    return None if None in values else list(dict.fromkeys(values))


def _read_value(part: Part, option: Option, text: str, index: int) -> Any:
    try:
        return option.read(text)
    except InvalidValue as invalid:
        subject = "its value" if option.secret else invalid.subject or quoted(text)
        part.fault(f"no-{option.type}", option.name, f"{subject} {invalid.problem}", *invalid.hint, index=index)
        return None


def _settings(parts: list[Part]) -> Settings:
    def fields(part: Part) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for option in OPTIONS[part.type]:
            value = part.values[option.name]
            found.update(zip(option.fills, value if len(option.fills) > 1 else (value,), strict=True))
        return found

    main = Main(**fields(next(part for part in parts if part.type == "mailrelay")))
    smarthosts = [Smarthost(name=part.title, **fields(part)) for part in parts if part.type == "smarthost"]
    smarthosts = sorted((one for one in smarthosts if one.enabled), key=lambda one: one.priority)
    clients = [Client(**fields(part)) for part in parts if part.type == "client"]
    clients.sort(key=lambda client: -Net.parse(client.address).length)
    return Settings(main=main, smarthosts=smarthosts, clients=clients, provider=bool(smarthosts))
