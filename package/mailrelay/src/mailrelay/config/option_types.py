"""The types that an option can have: what each one's value looks like, and how it is read. `schema` calls the readers.

TYPES is the one table of them. From it `./inv generate` makes LuCI's options.js and the router's option table, so that
its expressions are written in what Python, JavaScript and POSIX awk have in common: no class but [...], no \\d, no
look-around. What an expression cannot say is code on each side: addresses, hosts and aliases (`addresses`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping

from mailrelay.config.addresses import (
    NAME,
    NETWORK,
    address,
    alias,
    host,
    hostname,
    net,
    network,
    recipient_pattern,
    sender_pattern,
)
from mailrelay.config.invalid import InvalidValue, nearest, text

_NUMBER_WITH_UNIT = r"([0-9]+(?:[.,][0-9]+)?)\s*([A-Za-z]*)"
_SIZES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_DURATIONS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION_WORDS = {
    "s": ("s", "sec", "secs", "second", "seconds"),
    "m": ("m", "min", "mins", "minute", "minutes"),
    "h": ("h", "hr", "hrs", "hour", "hours"),
    "d": ("d", "day", "days"),
    "w": ("w", "week", "weeks"),
}
TRUE, FALSE = ("1", "yes", "on", "true", "enabled"), ("0", "no", "off", "false", "disabled")
_PORT_NAMES = {"smtp": 25, "submission": 587, "starttls": 587, "smtps": 465, "submissions": 465, "tls": 465, "ssl": 465}
_CHOICE_NAMES = {
    "ssl": "tls", "smtps": "tls", "ssl/tls": "tls", "implicit": "tls", "start_tls": "starttls", "start-tls": "starttls",
    "off": "none", "no": "none", "0": "none", "plaintext": "none", "cram": "cram-md5", "cram_md5": "cram-md5",
    "4": "ipv4", "inet": "ipv4", "v4": "ipv4", "6": "ipv6", "inet6": "ipv6", "v6": "ipv6", "all": "any", "both": "any",
}  # fmt: skip
# Folders that hold other things: the relay owns its spool, and removes strange files from it.
_NO_SPOOL = "|".join((
    "/", "/bin", "/boot", "/(dev|proc|sys)(/.*)?", "/etc", "/etc/config", "/etc/mailrelay", "/home", "/lib", "/mnt",
    "/overlay", "/overlay/upper", "/rom", "/root", "/run", "/sbin", "/tmp", "/usr", "/usr/bin", "/usr/lib", "/var",
    "/var/lib", "/var/mail", "/var/run", "/var/spool", "/var/tmp",
))  # fmt: skip
_PER_MINUTE, _PER_DAY = "[1-9][0-9]{0,8}/minute", "[1-9][0-9]{0,8}/day"
_SHA256 = "[Ss][Hh][Aa]-?256( [Ff][Ii][Nn][Gg][Ee][Rr][Pp][Rr][Ii][Nn][Tt])?"


class Limits:
    """What an option allows within its type: the smallest and largest number, or the words to choose from."""

    __slots__ = ("low", "high", "choices")

    def __init__(self, low: int | None = None, high: int | None = None, choices: tuple[str, ...] = ()) -> None:
        self.low = low
        self.high = high
        self.choices = choices


class OptionType:
    """One type. `pattern` matches every value of it as a whole, `never` none (of a path: once it is normalized).

    A reader may ask for more than the two say. A number has the factors of its `units`, what is said of its bounds
    (`noun`, and `show` for one of them), and its own bounds where the option sets none.
    """

    __slots__ = ("read", "text", "pattern", "never", "units", "noun", "show", "bounds")

    def __init__(
        self,
        read: Callable[[str, Limits], object],
        text: str,
        pattern: str = ".*",
        never: str = "",
        units: Mapping[str, int] | None = None,
        noun: str = "",
        show: Callable[[int], str] = str,
        bounds: tuple[int | None, int | None] = (None, None),
    ) -> None:
        self.read = read
        self.text = text  # what to write, as the end of "Expected: "
        self.pattern = pattern
        self.never = never
        self.units = units
        self.noun = noun
        self.show = show
        self.bounds = bounds

    def matches(self, value: str) -> bool:
        """Tell whether the expressions allow the value."""
        return bool(re.fullmatch(self.pattern, value)) and not (self.never and re.fullmatch(self.never, value))

    def amount(self, value: str) -> int:
        """Return the number that a matching value stands for, in the smallest unit."""
        digits = value.rstrip("".join(self.units or ()))
        return int(digits[:15]) * (self.units or {"": 1})[value[len(digits) :]]

    def within(self, value: str, limits: Limits) -> int:
        """Return the amount of a matching value; raise InvalidValue if it is out of bounds."""
        amount, low, high = self.amount(value), limits.low or 0, limits.high
        if amount < low or (high is not None and amount > high):
            most = "" if high is None else f" to {self.show(high)}"
            problem = "is too small" if amount < low else "is too large"
            raise InvalidValue(problem, f"write {self.noun} from {self.show(low)}{most}")
        return amount


def switch(value: str, _: Limits) -> bool:
    if TYPES["switch"].matches(value):
        return value in TRUE
    word = value.lower()
    meant = "'1' (yes)" if word in TRUE else "'0' (no)" if word in FALSE else "'1' (yes) or '0' (no)"
    raise InvalidValue("is neither yes nor no", f"write {meant}")


def choice(value: str, limits: Limits) -> str:
    if value in limits.choices:
        return value
    every = ", ".join(f"'{word}'" for word in limits.choices)
    if "oauth" in value.lower():
        hint = f"use an app password with auth 'auto'; it knows {every}"
        raise InvalidValue("is a login that this relay does not speak", hint)
    meant = _CHOICE_NAMES.get(value.lower())
    meant = meant if meant in limits.choices else nearest(value, limits.choices)
    hint = f"write {meant!r}; the choices are {every}" if meant else f"write one of {every}"
    raise InvalidValue("is not one of the choices", hint)


def integer(value: str, limits: Limits) -> int:
    if TYPES["integer"].matches(value):
        return TYPES["integer"].within(value, limits)
    most = "" if limits.high is None else f" to {limits.high}"
    raise InvalidValue("is not a whole number", f"write a number from {limits.low or 0}{most}, in digits only")


def port(value: str, limits: Limits) -> int:
    if TYPES["port"].matches(value):
        try:
            return TYPES["port"].within(value, limits)
        except InvalidValue:
            pass
    number = _PORT_NAMES.get(value.lower())
    raise InvalidValue("is not a port", f"write '{number}'" if number else "write a number from 1 to 65535")


def show_size(value: int) -> str:
    """Return the shortest text of a number of bytes."""
    unit = next(unit for unit in ("G", "M", "K", "") if value % _SIZES[unit] == 0 and (value or not unit))
    return f"{value // _SIZES[unit]}{unit}"


def show_duration(value: int) -> str:
    """Return the shortest text of a number of seconds."""
    unit = next(unit for unit in "wdhms" if value % _DURATIONS[unit] == 0 and (value or unit == "s"))
    return f"{value // _DURATIONS[unit]}{unit}"


def size(value: str, limits: Limits) -> int:
    if TYPES["size"].matches(value):
        return TYPES["size"].within(value, limits)
    hint = f"write {TYPES['size'].text}"
    match = re.fullmatch(_NUMBER_WITH_UNIT, value)
    if match and match[2][:1] in _SIZES and match[2][1:].lower() in ("", "b", "ib", "byte", "bytes"):
        hint = f"write '{show_size(int(float(match[1].replace(',', '.')) * _SIZES[match[2][:1]]))}'"
    raise InvalidValue("is not a size", hint)


def duration(value: str, limits: Limits) -> int:
    if TYPES["duration"].matches(value):
        return TYPES["duration"].within(value, limits)
    hint = f"write {TYPES['duration'].text}"
    match = re.fullmatch(_NUMBER_WITH_UNIT, value)
    unit = match[2][:1].lower() if match else ""
    if match and match[2].lower() in _DURATION_WORDS.get(unit, ("",)):
        hint = f"write '{show_duration(int(float(match[1].replace(',', '.')) * _DURATIONS[unit]))}'"
    raise InvalidValue("is not a duration", hint)


def path(value: str, _: Limits) -> str:
    text(value)
    if not TYPES["path"].matches(value):
        raise InvalidValue("is not a full path", f"write it from the root on, like '/{value.lstrip('./')}'")
    return os.path.normpath("/" + value.lstrip("/"))


def spool(value: str, limits: Limits) -> str:
    folder = path(value, limits)
    if not TYPES["spool"].matches(folder):
        own = "spool" if folder in ("/", "/etc/mailrelay") else "mailrelay"
        parent = "/etc/mailrelay" if folder == "/" else folder
        like = os.path.join(parent, own)
        raise InvalidValue("is a folder that holds other things", f"name one of its own, like '{like}'")
    return folder


def program(value: str, limits: Limits) -> str:
    file = path(value, limits)
    if " " in file and not os.path.exists(file):
        hint = f"name the program alone, '{file.split()[0]}'; what it needs is in its environment"
        raise InvalidValue("has arguments", hint)
    return file


def rate(value: str, _: Limits) -> tuple[int, int]:
    """Read "30/minute 500/day" or one of the two as (a minute, a day); 0 where there is no limit."""
    if TYPES["rate"].matches(value):
        counts = dict(piece.split("/")[::-1] for piece in value.split())
        return int(counts.get("minute", 0)), int(counts.get("day", 0))
    hint = "write it like '30/minute 500/day', or one of the two"
    seen = set()
    for match in re.finditer(r"([1-9][0-9]{0,8})/([A-Za-z]+)", value):
        unit = nearest(match[2], ("minute", "day", "hour", "second")) or {"m": "minute", "d": "day"}.get(match[2], "")
        if match[2] not in ("minute", "day"):
            right = f"write '{match[1]}/{unit}'" if unit in ("minute", "day") else hint
            raise InvalidValue("is not a rate: it counts in minutes and days", right)
        if unit in seen:
            raise InvalidValue(f"limits the {unit} twice", hint)
        seen.add(unit)
    raise InvalidValue("is not a rate", hint)


def fingerprint(value: str, _: Limits) -> str:
    """Read the SHA-256 of a certificate, with or without colons, as 64 lower-case hex digits."""
    digits = re.sub("[ :]", "", re.sub(f"^ *{_SHA256} *[=:]", "", value)).lower()
    if TYPES["fingerprint"].matches(value):
        return digits
    hint = "take what `openssl x509 -noout -fingerprint -sha256` prints: 64 hex digits"
    if re.fullmatch("[0-9a-f]{40}|[0-9a-f]{32}", digits):
        raise InvalidValue("is a SHA-1 or MD5 fingerprint", hint)
    raise InvalidValue(f"is not a SHA-256 fingerprint: it has {len(digits)} characters", hint)


def _plain(read: Callable[[str], object]) -> Callable[[str, Limits], object]:
    return lambda value, _: read(value)


_TEXT = "text on one line, without invisible characters"
TYPES: dict[str, OptionType] = {
    "text": OptionType(_plain(text), _TEXT),
    "secret": OptionType(_plain(text), _TEXT),
    "switch": OptionType(switch, "1 or 0", "|".join(TRUE + FALSE)),
    "choice": OptionType(choice, "one of the choices"),
    "integer": OptionType(integer, "a whole number", "[0-9]+", units={"": 1}, noun="a number"),
    "port": OptionType(port, "a port, 1 to 65535", "[0-9]+", units={"": 1}, bounds=(1, 65535)),
    "size": OptionType(
        size, "a number of bytes, or one with K, M or G after it, like 25M", f"[0-9]+[{''.join(_SIZES)}]?",
        units=_SIZES, noun="a size", show=show_size,
    ),
    "duration": OptionType(
        duration, "seconds, or a number with s, m, h, d or w after it, like 5d", f"[0-9]+[{''.join(_DURATIONS)}]?",
        units=_DURATIONS, noun="a duration", show=show_duration,
    ),
    "hostname": OptionType(_plain(hostname), "a name like router.example.org, not localhost", NAME),
    "host": OptionType(_plain(host), "a server's name, like smtp.example.org, or an address"),
    "address": OptionType(_plain(address), "a mail address, like name@example.org", ".+@.+"),
    "sender": OptionType(_plain(sender_pattern), "a mail address, or a domain like @example.org", ".*@.+"),
    "recipient": OptionType(_plain(recipient_pattern), "a mail address or a domain", "[^*].*"),
    "alias": OptionType(_plain(alias), "a name, = and an address, like root=owner@example.org", "[^=:]+[=:].+"),
    "net": OptionType(
        _plain(net), "an address or a network, like 192.168.1.0/24", "[0-9A-Fa-f:.]+(/[0-9]+)?"
    ),
    "network": OptionType(_plain(network), "the name of a network, like lan", NETWORK),
    "path": OptionType(path, "a full path, from / on", "/.*"),
    "spool": OptionType(spool, "the full path of a folder of its own", "/.*", _NO_SPOOL),
    "program": OptionType(program, "the full path of a program", "/.*"),
    "rate": OptionType(
        rate, "a number and /minute or /day, like 30/minute 500/day",
        f" *({_PER_MINUTE}( +{_PER_DAY})?|{_PER_DAY}( +{_PER_MINUTE})?)? *",
    ),
    "fingerprint": OptionType(fingerprint, "64 hex digits", f"( *{_SHA256} *[=:])?[ :]*([0-9A-Fa-f][ :]*){{64}}"),
}  # fmt: skip
# Types of which several may stand in one `option`, separated by spaces, as in OpenWrt's own files.
SPACE_FREE = frozenset(("port", "net", "network"))
