"""The machine that settings are for, as far as a check asks about it. `schema.check` is given one.

Machine is one of which nothing is known, as the router of a site file; ThisMachine looks each fact up when it is asked.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

from mailrelay.config import addresses, interfaces, uci
from mailrelay.config.invalid import InvalidValue

_MEMORY_FILESYSTEMS = ("tmpfs", "ramfs", "rootfs")
DHCP, HOSTS, RESOLVER = "/etc/config/dhcp", "/etc/hosts", "/etc/resolv.conf"


class Machine:
    """A machine of which nothing is known but that its loopback addresses are its own.

    `exposed` are its networks that face the internet, each with its zone of the firewall.
    """

    def __init__(self, exposed: dict[str, str] | None = None) -> None:
        self.exposed = exposed or {}

    def hostname(self) -> str:
        """Return the name that the relay calls itself by where its settings have none."""
        return "mailrelay"

    def networks(self) -> list[str]:
        """Return the names that `list network` may have; none where they are not known."""
        return []

    def owns(self, address: str) -> bool:
        """Tell whether a connection to this address ends on the machine."""
        return interfaces.is_loopback(address)

    def forgets(self, folder: str) -> bool:
        """Tell whether the folder loses its content at a power cut."""
        return False

    def lacks(self, file: str) -> bool:
        return False

    def cannot_run(self, program: str) -> bool:
        return False


class ThisMachine(Machine):
    """The one that the check runs on."""

    def hostname(self) -> str:
        """Return the system's name, with its domain as far as this system's files know one: DNS is never asked."""
        system = socket.gethostname()
        name = "".join(c if c.isascii() and (c.isalnum() or c in "-.") else "-" for c in system).strip("-.")
        try:
            name = addresses.hostname(name)
        except InvalidValue:
            return super().hostname()
        if _is_full(name):
            return name
        name = name.partition(".")[0]
        return next(filter(_is_full, _with_domain(name)), name)

    def networks(self) -> list[str]:
        return openwrt_networks() or [name for _, name in socket.if_nameindex()]

    def owns(self, address: str) -> bool:
        return interfaces.own(address)

    def forgets(self, folder: str) -> bool:
        return on_memory(folder)

    def lacks(self, file: str) -> bool:
        return not os.path.isfile(file)

    def cannot_run(self, program: str) -> bool:
        return not os.access(program, os.X_OK)


def _is_full(name: str) -> bool:
    """Tell whether a name has a domain that is more than the resolver's stopgap for none."""
    try:
        return "." in addresses.hostname(name) and not name.lower().endswith(".localdomain")
    except InvalidValue:
        return False


def _with_domain(name: str) -> Iterator[str]:
    """Yield the name with each domain that may be its own, the likeliest first: OpenWrt's for its LAN, that which
    /etc/hosts has beside the name, the resolver's."""
    for section in _uci_sections(DHCP):
        if section.type == "dnsmasq":
            yield f"{name}.{section.options.get('domain', '')}"
    for words in _words(HOSTS):
        if name in words[1:]:
            yield from (word for word in words[1:] if word.startswith(name + "."))
    for words in reversed(_words(RESOLVER)):  # the last one counts: resolv.conf(5)
        if words[0] in ("domain", "search"):
            yield from (f"{name}.{word.strip('.')}" for word in words[1:2])


def _words(path: str) -> list[list[str]]:
    """Return the words of each line; none of a file that cannot be read."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return [words for line in file if (words := line.partition("#")[0].split())]
    except OSError:
        return []


def _uci_sections(path: str) -> list[uci.Section]:
    try:
        with open(path, "rb") as file:
            return uci.parse(file.read())
    except (OSError, uci.ParseError):
        return []


def openwrt_networks(path: str = "/etc/config/network") -> list[str]:
    """Return the names of OpenWrt's networks; none on another system."""
    return [section.name for section in _uci_sections(path) if section.type == "interface" and section.name]


def on_memory(path: str, mounts: str = "/proc/self/mounts") -> bool:
    """Tell whether the folder, or the place where it would be made, loses its content at a power cut."""
    try:
        with open(mounts, encoding="utf-8", errors="surrogateescape") as file:
            table = [line.split(" ") for line in file]
    except OSError:
        return False
    place = os.path.realpath(path)
    for _ in range(4):  # an overlay's upper folder lies on another mount
        kind, options = "", ""
        best = ""
        for _device, where, type, given, *_rest in table:
            where = where.replace("\\040", " ")
            if (place + "/").startswith(where.rstrip("/") + "/") and len(where) >= len(best):
                best, kind, options = where, type, given
        if kind != "overlay":
            return kind in _MEMORY_FILESYSTEMS
        upper = [given.partition("=")[2] for given in options.split(",") if given.startswith("upperdir=")]
        if not upper or not os.path.isdir(upper[0]):
            return False
        place = os.path.realpath(upper[0])
    return False
