"""Reads one value of a site file: an address, a host name, a key, a hash, or raises InvalidValue with the hint.

A reader looks at nothing but the text (and, for a time zone, at the tz database). The relay's own values are
not read here but by its schema.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from typing import Any

from forge.core.cli import near
from forge.site.toml_document import InvalidValue

_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
# The crypt(3) methods of musl, OpenWrt's C library: SHA-512, SHA-256, bcrypt and MD5.
_HASH = re.compile(
    r"\$6\$(?:rounds=\d{4,9}\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{86}"
    r"|\$5\$(?:rounds=\d{4,9}\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{43}"
    r"|\$2[abxy]\$\d\d\$[./A-Za-z0-9]{53}"
    r"|\$1\$[./A-Za-z0-9]{1,8}\$[./A-Za-z0-9]{22}"
)
_OTHER_HASH = re.compile(r"\$(?:y|gy|7|md5|sha1|scrypt|argon2[id]*)\$")
KEY_TYPES = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)


def text(value: str) -> str:
    """Read any text on one line: what goes into a config or a script cannot begin another line of it."""
    if not value:
        raise InvalidValue("is empty", "write a value, or leave the key out")
    if any(not c.isprintable() for c in value):
        raise InvalidValue("holds a line break, a control or an invisible character", "type it anew, on one line")
    return value


def shown(value: str) -> str:
    return f"'{value if len(value) <= 60 else value[:57] + '…'}'"


def word(value: str) -> str:
    text(value)
    if not re.fullmatch(r"[A-Za-z0-9._:/@-]{1,100}", value):
        raise InvalidValue(f"{shown(value)} has a character that cannot stand in it", "letters, digits and . _ - only")
    return value


def pin(value: str) -> str:
    if not re.fullmatch(r"[0-9]{4,8}", value):
        raise InvalidValue("is not a PIN", "write 4 to 8 digits, in quotes")
    return value


def hostname(value: str) -> str:
    """Read a host name, with or without a domain (RFC 1123)."""
    text(value)
    if value.lower().split(".")[0] == "localhost":
        raise InvalidValue(f"{shown(value)} names every machine", "write a name of its own, like 'plant7'")
    if not _is_hostname(value):
        right = re.sub(r"[^A-Za-z0-9.-]+", "-", value).strip("-.")[:63]
        hint = f"write it like '{right}'" if _is_hostname(right) else "write it like 'plant7'"
        raise InvalidValue(f"{shown(value)} is not a host name: letters, digits and hyphens, at most 63", hint)
    if re.fullmatch(r"[0-9.]+", value):
        raise InvalidValue(f"{shown(value)} is not a host name", "write it like 'plant7'")
    return value


def _is_hostname(value: str) -> bool:
    return len(value) <= 63 and all(_LABEL.fullmatch(label) for label in value.split("."))


def ip(value: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(value)
    except ValueError:
        raise InvalidValue(f"{shown(value)} is not an IP address", "write it like '192.168.1.1'") from None


def address(value: str) -> str:
    """Read an IP address of another machine, as text."""
    return str(ip(value))


def own_address(value: str) -> Any:
    """Read the router's own address with its network, "192.168.1.1/24" (or with a netmask), as an IPv4Interface."""
    example = "write it like '192.168.1.1/24'"
    if "/" not in value:
        raise InvalidValue(f"{shown(value)} has no network", f"write '{value}/24'" if _is_ip(value) else example)
    try:
        interface = ipaddress.IPv4Interface(value)
    except ValueError:
        raise InvalidValue(f"{shown(value)} is not an IPv4 address with its network", example) from None
    network = interface.network
    if not 1 <= network.prefixlen <= 30:
        raise InvalidValue(f"{shown(value)} leaves no room for machines", "write a network from /1 to /30")
    if interface.ip in (network.network_address, network.broadcast_address):
        first = network.network_address + 1
        raise InvalidValue(
            f"{shown(value)} is the network itself, not an address in it", f"write '{first}/{network.prefixlen}'"
        )
    if interface.ip.is_loopback or interface.ip.is_multicast or interface.ip.is_unspecified or interface.ip.is_reserved:
        raise InvalidValue(f"{shown(value)} is not an address that a machine can have", example)
    return interface


def _is_ip(value: str) -> bool:
    try:
        return bool(ipaddress.IPv4Address(value))
    except ValueError:
        return False


def password_hash(value: str) -> str:
    """Read a crypt(3) hash that OpenWrt's C library knows, or ! or * for no password. The value is never shown."""
    make = "make one with: openssl passwd -6"
    if value in ("!", "*") or _HASH.fullmatch(value):
        return value
    if _OTHER_HASH.match(value):
        raise InvalidValue("is a kind of hash that OpenWrt does not know", make)
    if value.startswith("$"):
        raise InvalidValue("is a hash of which something is missing or too much", f"copy the whole of it, or {make}")
    raise InvalidValue("is not a hash; a password itself is never written into a site file", make)


def ssh_key(value: str) -> str:
    """Read a public key as it stands in id_ed25519.pub, of a type that Dropbear takes."""
    text_value = value.strip()
    if "PRIVATE KEY" in text_value:
        raise InvalidValue(
            "is a private key, which never leaves its owner's machine", "write the one that ends in .pub"
        )
    text(text_value)
    kind, _, rest = text_value.partition(" ")
    encoded = rest.split(" ")[0] if rest else ""
    if kind not in KEY_TYPES:
        problem = (
            "is not a public key" if not kind.startswith(("ssh-", "ecdsa-", "sk-")) else f"'{kind}' is too old a type"
        )
        raise InvalidValue(
            f"{problem}.{near(kind, KEY_TYPES)}", "write it as in ~/.ssh/id_ed25519.pub: 'ssh-ed25519 AAAA… name'"
        )
    try:
        blob = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        blob = b""
    if len(blob) < 32 or blob[: 4 + len(kind)] != len(kind).to_bytes(4, "big") + kind.encode():
        raise InvalidValue(f"is not a whole {kind} key", "copy the line anew: 'ssh-ed25519 AAAA… name'")
    return text_value


def timezone(value: str) -> tuple[str, str]:
    """Read a zone of the tz database; return it and its rule in POSIX form (RFC 9636 section 3.3: the last line)."""
    import zoneinfo
    from importlib import resources

    text(value)
    name = value.replace(" ", "_")
    try:
        zoneinfo.ZoneInfo(name)
        footer = resources.files("tzdata.zoneinfo").joinpath(name).read_bytes().rsplit(b"\n", 2)[-2]
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        zones = zoneinfo.available_timezones()
        cities = {zone.rpartition("/")[2]: zone for zone in sorted(zones)}
        meant = cities.get(name.rpartition("/")[2].title()) or cities.get(name)
        guess = f" Did you mean {meant}?" if meant else near(name, zones)
        raise InvalidValue(
            f"{shown(value)} is no time zone.{guess}", "write it like 'Europe/Berlin', or 'UTC'"
        ) from None
    return name, footer.decode("ascii")
