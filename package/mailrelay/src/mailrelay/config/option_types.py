"""Reads one value of the config by its kind: a port, a size, an address. `schema` is the only caller.

Each reader takes the text and returns the value, or raises `Bad` with what is wrong and what would be right, in words
for somebody who mistyped it. A reader looks at nothing but the text: what options mean to each other is `rules`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from typing import Any

from mailrelay.core.net import Net, number

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\Z")
_LOCAL_PART = re.compile(r"[^\s()<>\[\]:;@\\,\"]+\Z")
_QUOTED_LOCAL_PART = re.compile(r'"(?:[^"\\]|\\.)*"\Z')
_ADDRESS_WITHIN = re.compile(r"<([^<>\s]+@[^<>\s]+)>")
_INTERFACE = re.compile(r"[A-Za-z0-9_.:@-]{1,64}\Z")
_NUMBER_WITH_UNIT = re.compile(r"([0-9]+(?:[.,][0-9]+)?)\s*([A-Za-z]*)\Z")

_SIZE_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_TIME_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_TIME_WORDS = {
    "s": ("s", "sec", "secs", "second", "seconds"),
    "m": ("m", "min", "mins", "minute", "minutes"),
    "h": ("h", "hr", "hrs", "hour", "hours"),
    "d": ("d", "day", "days"),
    "w": ("w", "week", "weeks"),
}
_TRUE, _FALSE = ("1", "yes", "on", "true", "enabled"), ("0", "no", "off", "false", "disabled")
_PORT_NAMES = {"smtp": 25, "submission": 587, "starttls": 587, "smtps": 465, "submissions": 465, "tls": 465, "ssl": 465}
_CHOICE_NAMES = {
    "ssl": "tls", "smtps": "tls", "ssl/tls": "tls", "implicit": "tls", "start_tls": "starttls", "start-tls": "starttls",
    "off": "none", "no": "none", "0": "none", "plaintext": "none", "cram": "cram-md5", "cram_md5": "cram-md5",
    "4": "ipv4", "inet": "ipv4", "v4": "ipv4", "6": "ipv6", "inet6": "ipv6", "v6": "ipv6", "all": "any", "both": "any",
}  # fmt: skip
# Folders that hold other things: the relay owns its spool, and removes strange files from it.
_NO_SPOOL = frozenset((
    "/", "/bin", "/boot", "/dev", "/etc", "/etc/config", "/etc/mailrelay", "/home", "/lib", "/mnt", "/overlay",
    "/overlay/upper", "/proc", "/rom", "/root", "/run", "/sbin", "/sys", "/tmp", "/usr", "/usr/bin", "/usr/lib", "/var",
    "/var/lib", "/var/mail", "/var/run", "/var/spool", "/var/tmp",
))  # fmt: skip


class Bad(ValueError):
    """The value is not of its kind: what is wrong with it (its subject is the value), and what would be right."""

    def __init__(self, problem: str, mend: str, subject: str | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.mend = mend
        self.subject = subject  # names the value in the message where the whole of it would mislead


class Limits:
    """What an option allows within its kind: the smallest and largest number, or the words to choose from."""

    __slots__ = ("low", "high", "choices")

    def __init__(self, low: int | None = None, high: int | None = None, choices: tuple[str, ...] = ()) -> None:
        self.low = low
        self.high = high
        self.choices = choices


def printable(text: str) -> str:
    """A message for a terminal or a log: on one line, whatever a name or a path holds."""
    return "".join(character if character.isprintable() else "?" for character in text)


def quoted(text: str) -> str:
    """A value for a message: on one line, not too long, and without a password that a URL may hold."""
    if "://" in text and "@" in text:
        return "this URL"
    text = printable(text)
    return f"'{text if len(text) <= 60 else text[:57] + '...'}'"


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The one of `words` that was probably meant."""
    import difflib  # costs memory and time that a correct config does not need

    by_folded = {known.lower().replace("-", "_"): known for known in words}
    near = difflib.get_close_matches(word.lower().replace("-", "_"), by_folded, 1, 0.6)
    return by_folded[near[0]] if near else None


def text(value: str, limits: Limits | None = None) -> str:
    """Any text that fits on a line: what goes into an SMTP command must not be able to start another one."""
    if _CONTROL.search(value):
        raise Bad("holds a line break, a control character or bytes that are not UTF-8", "type it anew, on one line")
    if not value.isprintable():
        raise Bad("holds an invisible character, perhaps from a page it was copied from", "type it anew")
    return value


def switch(value: str, limits: Limits) -> bool:
    if value in _TRUE or value in _FALSE:
        return value in _TRUE
    meant = (
        "'1' (yes)" if value.lower() in _TRUE else "'0' (no)" if value.lower() in _FALSE else "'1' (yes) or '0' (no)"
    )
    raise Bad("is neither yes nor no", f"write {meant}")


def choice(value: str, limits: Limits) -> str:
    if value in limits.choices:
        return value
    every = ", ".join(f"'{word}'" for word in limits.choices)
    if "oauth" in value.lower():
        raise Bad(
            "is a login that this relay does not speak", f"use an app password with auth 'auto'; it knows {every}"
        )
    meant = _CHOICE_NAMES.get(value.lower())
    meant = meant if meant in limits.choices else nearest(value, limits.choices)
    raise Bad("is not one of the choices", f"write {f'{meant!r}; the choices are ' if meant else 'one of '}{every}")


def _within(value: int, limits: Limits, show: Callable[[int], str], unit: str) -> int:
    low, high = limits.low or 0, limits.high
    if value < low or (high is not None and value > high):
        most = "" if high is None else f" to {show(high)}"
        raise Bad("is too small" if value < low else "is too large", f"write {unit} from {show(low)}{most}")
    return value


def integer(value: str, limits: Limits) -> int:
    if not (value.isascii() and value.isdigit()):
        most = "" if limits.high is None else f" to {limits.high}"
        raise Bad("is not a whole number", f"write a number from {limits.low or 0}{most}, in digits only")
    return _within(int(value[:18]), limits, str, "a number")


def port(value: str, limits: Limits) -> int:
    if value.lower() in _PORT_NAMES:
        raise Bad("is not a port", f"write '{_PORT_NAMES[value.lower()]}'")
    if not (value.isascii() and value.isdigit() and 1 <= int(value[:9]) <= 65535):
        raise Bad("is not a port", "write a number from 1 to 65535")
    return int(value)


def show_size(value: int) -> str:
    """The shortest text of a number of bytes."""
    unit = next(unit for unit in "GMK " if value % _SIZE_UNITS[unit.strip()] == 0 and (value or unit == " "))
    return f"{value // _SIZE_UNITS[unit.strip()]}{unit.strip()}"


def show_duration(value: int) -> str:
    """The shortest text of a number of seconds."""
    unit = next(unit for unit in "wdhms" if value % _TIME_UNITS[unit] == 0 and (value or unit == "s"))
    return f"{value // _TIME_UNITS[unit]}{unit}"


def size(value: str, limits: Limits) -> int:
    match = _NUMBER_WITH_UNIT.match(value)
    mend = "write a number of bytes, or one with K, M or G after it, like '25M'"
    if match is None:
        raise Bad("is not a size", mend)
    count, unit = match.groups()
    factor = _SIZE_UNITS.get(unit[:1].upper())
    if factor is None or unit[1:].lower() not in ("", "b", "ib", "byte", "bytes"):
        raise Bad("is not a size", mend)
    if not count.isdigit() or value != count + unit or len(unit) > 1:
        raise Bad("is not a size", f"write '{show_size(int(float(count.replace(',', '.')) * factor))}'")
    return _within(int(count[:15]) * factor, limits, show_size, "a size")


def duration(value: str, limits: Limits) -> int:
    match = _NUMBER_WITH_UNIT.match(value)
    mend = "write seconds, or a number with s, m, h, d or w after it, like '5d'"
    if match is None:
        raise Bad("is not a duration", mend)
    count, unit = match.groups()
    if unit in _TIME_UNITS and value == count + unit and count.isdigit():
        return _within(int(count[:15]) * _TIME_UNITS[unit], limits, show_duration, "a duration")
    short = unit[:1].lower()
    if unit.lower() not in _TIME_WORDS.get(short, ("",)):
        raise Bad("is not a duration", mend)
    seconds = int(float(count.replace(",", ".")) * _TIME_UNITS[short])
    raise Bad("is not a duration", f"write '{show_duration(seconds)}'")


def is_ip(value: str) -> bool:
    try:
        number(value)
    except ValueError:
        return False
    return True


def _name_fault(value: str) -> str | None:
    """What keeps the text from being a host name (RFC 1123), or None."""
    labels = value.split(".")
    if not value.isascii():
        return "holds letters that a host name cannot have (an international name is written in its xn-- form)"
    if " " in value or "," in value:
        return "has a space or a comma in it"
    if len(value) > 253 or any(len(label) > 63 for label in labels):
        return "is too long for a host name"
    if "" in labels:
        return "has a dot too many"
    if not all(map(_LABEL.match, labels)):
        return "is not a host name (letters, digits, dots, and hyphens inside)"
    if labels[-1].isdigit():
        return "looks like an IP address but is none"
    return None


def hostname(value: str, limits: Limits) -> str:
    """A name for ourselves, as it goes into the banner and EHLO."""
    text(value)
    example = "write a name like 'router.example.org'"
    if is_ip(value.strip("[]")):
        raise Bad("is an address, and many providers refuse one here", example)
    problem = _name_fault(value)
    if problem:
        raise Bad(problem, f"write '{value.strip('.')}'" if not _name_fault(value.strip(".")) else example)
    if is_localhost(value):
        raise Bad("is every machine's name, and many providers refuse it", example)
    return value


def is_localhost(value: str) -> bool:
    first, _, rest = value.lower().partition(".")
    return first in ("localhost", "localhost4", "localhost6") or rest == "localhost"


def host(value: str, limits: Limits) -> str:
    """A server to connect to: a name, or an address (in brackets or not)."""
    text(value)
    if value.startswith("[") and value.endswith("]") and is_ip(value[1:-1]):
        return value[1:-1]
    if is_ip(value):
        return value
    example = "write the server's name only, like 'smtp.example.org'"
    bare = value.partition("://")[2] or value
    bare = bare.rpartition("@")[2] if "://" in value else bare
    bare, _, port_text = bare.rstrip("/").partition(":")
    if "://" in value or (port_text and bare):
        if _name_fault(bare) and not is_ip(bare):
            raise Bad("is not a host name", example)
        also = f" and put the port into its own line, option port '{port_text}'" if port_text.isdigit() else ""
        raise Bad("is more than a host name", f"write '{bare}'{also}")
    if "@" in value:
        raise Bad("is an e-mail address", example)
    problem = _name_fault(value)
    if problem:
        trimmed = value.strip(" ./").replace(",", ".")
        raise Bad(problem, example if _name_fault(trimmed) else f"write '{trimmed}'")
    return value


def address(value: str, limits: Limits | None = None) -> str:
    """An e-mail address (RFC 5321 Mailbox; letters beyond ASCII are allowed, RFC 6531). The domain in lower case."""
    text(value)
    within = _ADDRESS_WITHIN.search(value)
    if within:
        raise Bad("is more than an address", f"write '{within[1]}' alone")
    if value.count("@") > 1 and re.search(r"@[^@]*[,;\s][^@]*@", value):
        raise Bad("holds more than one address", "write one address; where a list is allowed, one `list` line for each")
    local, at, domain = value.rpartition("@")
    example = "write it like 'name@example.org'"
    if value.lower().startswith("mailto:"):
        raise Bad("is a link", f"write '{value[7:]}'")
    if not at:
        raise Bad("is not an e-mail address: it has no @", example)
    if not local or not domain:
        raise Bad(f"has nothing {'after' if local else 'before'} the @", example)
    if value.strip() != value or " " in domain:
        raise Bad("has a space in it", f"write '{value.replace(' ', '')}'")
    if not _LOCAL_PART.match(local) and not _QUOTED_LOCAL_PART.match(local):
        raise Bad("has a character before the @ that cannot stand there", example)
    if len(local.encode()) > 64:
        raise Bad("has more than 64 bytes before the @", example)
    return f"{local}@{mail_domain(domain)}"


def mail_domain(value: str) -> str:
    """The part after the @: a host name, also an international one, or an address in brackets."""
    if value.startswith("[") and value.endswith("]"):
        if is_ip(value[1:-1].removeprefix("IPv6:")):
            return value
        raise Bad("has no IP address between the brackets", "write a domain, or [192.0.2.1]")
    ascii_form = re.sub(r"[^\x00-\x7f]", "x", value)
    problem = "is an address without brackets" if is_ip(value) else _name_fault(ascii_form)
    if problem:
        raise Bad(problem, "write a domain like 'example.org'", f"the domain {quoted(value)}")
    return value.lower()


def sender_pattern(value: str, limits: Limits) -> str:
    """A sender that a smarthost is for: an address, or "@domain"."""
    if value.startswith("@"):
        return "@" + mail_domain(text(value)[1:])
    if "@" not in value and not _name_fault(value) and "." in value:
        raise Bad("is neither an address nor a domain with its @", f"write '@{value}'")
    return address(value)


def recipient_pattern(value: str, limits: Limits) -> str:
    """A recipient to accept: an address, or a domain (with or without an @ before it)."""
    if "@" in value.lstrip("@"):
        return address(value)
    if value.startswith("*"):
        raise Bad("is a pattern", f"write '{value.lstrip('*.@') or 'example.org'}'; each domain stands for itself only")
    return mail_domain(text(value).removeprefix("@"))


def alias(value: str, limits: Limits) -> str:
    """ "name=target[,target...]", also with a colon; returned with = and without spaces. A target is an address or the
    name of another alias."""
    text(value)
    example = "write it like 'root=owner@example.org'"
    match = re.match(r"\s*([^=:]*?)\s*[=:]\s*(.*?)\s*\Z", value)
    if match is None or not match[1] or not match[2]:
        raise Bad("is not an alias: a name, = and an address", example)
    name, targets = match[1], match[2].split(",")
    if name == "*":
        raise Bad("is not an alias: * is no name", "to send everything to one mailbox use `list recipient`")
    try:
        name = address(name) if "@" in name else name
        if "@" not in name and not _LOCAL_PART.match(name):
            raise Bad("has a character that cannot stand in one", example)
    except Bad as error:
        raise Bad(error.problem, error.mend, error.subject or f"the name {quoted(name)}") from None
    read = []
    for target in targets:
        target = target.strip()
        try:
            local = _LOCAL_PART.match(target) and "@" not in target
            read.append(target if local else address(target))
        except Bad as error:
            raise Bad(error.problem, error.mend, error.subject or f"the target {quoted(target)}") from None
    return f"{name}={','.join(dict.fromkeys(read))}"


def net(value: str, limits: Limits) -> str:
    """An IP address or network, as Net.parse takes it."""
    try:
        Net.parse(value)
        return value
    except ValueError as error:
        problem = str(error)
    mend = "write an address or a network, like '192.168.1.10' or '192.168.1.0/24'"
    base, _, mask = value.partition("/")
    if is_ip(mask) and is_ip(base) and "." in mask:
        length = f"{number(mask)[1]:032b}".rstrip("0")
        if "0" not in length:
            mend = f"write '{base}/{len(length)}'"
    elif value in ("*", "any", "all"):
        mend = "name the networks of your machines, like '192.168.1.0/24'"
    elif re.fullmatch(r"(\d+\.){1,3}\*?", value):
        known = value.rstrip("*").rstrip(".").split(".")
        mend = f"write '{'.'.join(known + ['0'] * (4 - len(known)))}/{8 * len(known)}'"
    elif re.match(r"[A-Za-z][\w.-]*\Z", value) and ":" not in value:
        mend = f"names of networks go into `list network '{value}'`; here " + mend
    raise Bad(problem, mend)


def network(value: str, limits: Limits) -> str:
    """The name of a network (OpenWrt) or of a network interface."""
    if is_ip(value.partition("/")[0]):
        raise Bad("is an address, not the name of a network", f"write `list allow '{value}'`, or a name like 'lan'")
    if not _INTERFACE.match(value):
        raise Bad("is not the name of a network", "write a name like 'lan', or 'eth0' where there is no OpenWrt")
    return value


def path(value: str, limits: Limits) -> str:
    text(value)
    if not value.startswith("/"):
        raise Bad("is not a full path", f"write it from the root on, like '/{value.lstrip('./')}'")
    return os.path.normpath("/" + value.lstrip("/"))


def spool(value: str, limits: Limits) -> str:
    folder = path(value, limits)
    if folder in _NO_SPOOL or folder.startswith(("/proc/", "/sys/", "/dev/")):
        own = "spool" if folder in ("/", "/etc/mailrelay") else "mailrelay"
        parent = "/etc/mailrelay" if folder == "/" else folder
        raise Bad("is a folder that holds other things", f"name one of its own, like '{os.path.join(parent, own)}'")
    return folder


def program(value: str, limits: Limits) -> str:
    file = path(value, limits)
    if " " in file and not os.path.exists(file):
        raise Bad("has arguments", f"name the program alone, '{file.split()[0]}'; what it needs is in its environment")
    return file


def rate(value: str, limits: Limits) -> tuple[int, int]:
    """ "30/minute 500/day" or one of the two, as (a minute, a day); 0 where there is no limit."""
    found: dict[str, int] = {}
    example = "write it like '30/minute 500/day', or one of the two"
    for piece in value.split():
        match = re.fullmatch(r"([1-9][0-9]{0,8})/([A-Za-z]+)", piece)
        if match is None:
            raise Bad("is not a rate", example)
        unit = nearest(match[2], ("minute", "day", "hour", "second")) or {"m": "minute", "d": "day"}.get(match[2], "")
        if match[2] not in ("minute", "day"):
            right = f"write '{match[1]}/{unit}'" if unit in ("minute", "day") else example
            raise Bad("is not a rate: it counts in minutes and days", right)
        if unit in found:
            raise Bad(f"limits the {unit} twice", example)
        found[unit] = int(match[1])
    return found.get("minute", 0), found.get("day", 0)


def fingerprint(value: str, limits: Limits) -> str:
    """The SHA-256 of a certificate, with or without colons; returned as 64 lower-case hex digits."""
    digits = re.sub(r"(?i)\A\s*sha-?256(?: fingerprint)?\s*[=:]", "", value)
    digits = re.sub(r"[\s:]", "", digits).lower()
    mend = "take what `openssl x509 -noout -fingerprint -sha256` prints: 64 hex digits"
    if re.fullmatch("[0-9a-f]{64}", digits):
        return digits
    if re.fullmatch("[0-9a-f]{40}|[0-9a-f]{32}", digits):
        raise Bad("is a SHA-1 or MD5 fingerprint", mend)
    raise Bad(f"is not a SHA-256 fingerprint: it has {len(digits)} characters", mend)


READERS: dict[str, Callable[[str, Limits], Any]] = {
    "text": text,
    "secret": text,
    "switch": switch,
    "choice": choice,
    "integer": integer,
    "port": port,
    "size": size,
    "duration": duration,
    "hostname": hostname,
    "host": host,
    "address": address,
    "sender": sender_pattern,
    "recipient": recipient_pattern,
    "alias": alias,
    "net": net,
    "network": network,
    "path": path,
    "spool": spool,
    "program": program,
    "rate": rate,
    "fingerprint": fingerprint,
}
# Kinds of which several may stand in one `option`, separated by spaces, as in OpenWrt's own files.
SPACE_FREE = frozenset(("port", "net", "network"))
