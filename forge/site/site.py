"""The site file: what a router's owner wants set in its firmware, read from TOML and checked before anything is built.

`load` is the whole of it; overlay.py renders a Site into files, for the lab's firmware and for OpenWrt's ImageBuilder
alike. The relay's own options are not known here: relay.py asks the relay's schema. docs/build/SITE.md is for owners.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forge.core.errors import ForgeError, UsageError
from forge.site import relay as site_relay
from forge.site import types
from forge.site.toml_document import Document, Table

_BY_MODEM = {"apn": "apn", "pin": "pincode", "device": "device", "username": "username", "password": "password"}
# What OpenWrt's protocols for the way out need: option names here -> in UCI, and the packages that bring the protocol.
WAN_OPTIONS: dict[str, dict[str, str]] = {
    "dhcp": {},
    "static": {"gateway": "gateway"},
    "pppoe": {"username": "username", "password": "password"},
    **dict.fromkeys(("qmi", "mbim", "ncm", "modemmanager"), _BY_MODEM),
}
WAN_REQUIRED = {
    "static": ("address", "gateway"),
    "pppoe": ("username", "password"),
    "qmi": ("apn",),
    "mbim": ("apn",),
    "ncm": ("apn", "device"),
    "modemmanager": ("apn", "device"),
}
WAN_PACKAGES = {
    "pppoe": ("ppp", "ppp-mod-pppoe"),
    "qmi": ("uqmi", "kmod-usb-net-qmi-wwan"),
    "mbim": ("umbim", "kmod-usb-net-cdc-mbim"),
    "ncm": ("comgt-ncm", "kmod-usb-net-cdc-ncm"),
    "modemmanager": ("modemmanager",),
}
MODEM = "/dev/cdc-wdm0"  # where a QMI or MBIM modem appears if it is the only one
WAN_WORDS = {
    "lte": "qmi",
    "4g": "qmi",
    "5g": "qmi",
    "3g": "ncm",
    "modem": "modemmanager",
    "ppp": "pppoe",
    "auto": "dhcp",
}


@dataclass(frozen=True)
class Root:
    """The router's one account: a crypt(3) hash ("" leaves it as it is), and who may log in over SSH."""

    password_hash: str = field(default="", repr=False)
    ssh_keys: tuple[str, ...] = ()
    password_login: bool | None = None


@dataclass(frozen=True)
class Lan:
    """The router's own address on the machines' side: "192.168.1.1" and "255.255.255.0"."""

    address: str
    netmask: str
    length: int


@dataclass(frozen=True)
class Wan:
    """The way out: OpenWrt's protocol, and the options of its interface by their UCI names."""

    protocol: str
    options: dict[str, str] = field(default_factory=dict, repr=False)
    dns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Site:
    """Everything of one site file; what is "" or None is left as OpenWrt has it. The defaults say nothing at all."""

    source: Path | None = None
    hostname: str = ""
    timezone: str = ""  # as in the tz database: "Europe/Berlin"
    posix_timezone: str = ""  # what OpenWrt's C library wants for it: "CET-1CEST,M3.5.0,M10.5.0/3"
    root: Root = Root()
    lan: Lan | None = None
    wan: Wan | None = None
    relay: str = field(default="", repr=False)  # the text of /etc/config/mailrelay; "" leaves the package's own
    vars: dict[str, Any] = field(default_factory=dict, repr=False)  # for templates of the owner's own
    warnings: tuple[str, ...] = ()  # what the owner should know, each with its place in the file

    @property
    def name(self) -> str:
        """Return what the file is called, without its ending; "" for a site without a file."""
        return self.source.stem if self.source else ""

    @property
    def changes_router(self) -> bool:
        """Tell whether anything but the relay's own settings is to be set at the first boot."""
        login = self.root.password_hash or self.root.password_login is not None
        return bool(self.hostname or self.timezone or login or self.lan or self.wan)

    @property
    def packages(self) -> tuple[str, ...]:
        """Name OpenWrt packages that the settings need in the image beyond the relay's own."""
        return WAN_PACKAGES.get(self.wan.protocol, ()) if self.wan else ()


class SiteError(ForgeError):
    """The site file cannot be used: every fault in it, a line each."""

    exit_code = UsageError.exit_code


def load(path: Path | None) -> Site:
    """Read the site of a file; None is a site that says nothing. SiteError names everything that is wrong."""
    if path is None:
        return Site()
    document = Document.read(path)
    site = _read(document)
    if document.faults:
        lines = [str(fault) for fault in sorted(document.faults, key=lambda fault: fault.line)]
        hint = "docs/build/SITE.md says what a site file holds; examples/site.toml is one to begin with"
        count = f"{len(lines)} faults" if len(lines) > 1 else "a fault"
        raise SiteError("\n  ".join([f"{path} has {count}:", *lines]), hint=hint)
    return site


def _read(document: Document) -> Site:
    top = document.top
    hostname = top.value("hostname", types.hostname)
    timezone = top.value("timezone", types.timezone)
    lan = _lan(top.table("lan"))
    wan = _wan(top.table("wan"), lan)
    root = _root(top.table("root"))
    relay = site_relay.read(top, hostname)
    own = top.raw("vars", dict, "a table, [vars]")
    top.end()
    return Site(
        source=document.path,
        hostname=hostname,
        timezone=timezone[0] if timezone else "",
        posix_timezone=timezone[1] if timezone else "",
        root=root,
        lan=lan,
        wan=wan,
        relay=relay,
        vars=own or {},
        warnings=tuple(str(warning) for warning in document.warnings),
    )


def _root(table: Table) -> Root:
    password_hash = table.value("password_hash", types.password_hash)
    keys = table.values("ssh_keys", types.ssh_key)
    login = table.raw("password_login", bool, "true or false")
    if login is False and not keys and not table.document.faults:
        table.fault(
            "password_login", "is false, but there are no ssh_keys: nobody could log in", "add a key to ssh_keys"
        )
    table.end()
    return Root(password_hash, tuple(keys), login)


def _lan(table: Table) -> Lan | None:
    interface = table.value("address", types.own_address)
    if table and "address" not in table:
        table.fault("", "has no address", 'write address = "192.168.1.1/24"')
    table.end()
    return Lan(str(interface.ip), str(interface.netmask), interface.network.prefixlen) if interface else None


def _wan(table: Table, lan: Lan | None) -> Wan | None:
    if not table:
        return None
    protocol = table.choice("protocol", WAN_OPTIONS, WAN_WORDS)
    if not protocol:  # what is left has no meaning as long as that fault stands
        return None
    options: dict[str, str] = {}
    address = table.value("address", types.own_address) if protocol == "static" else None
    if address:
        options |= {"ipaddr": str(address.ip), "netmask": str(address.netmask)}
        if lan and types.own_address(f"{lan.address}/{lan.length}").network.overlaps(address.network):
            table.fault("address", f"'{address}' is in the network of [lan]", "the two need networks of their own")
    readers = {"gateway": types.address, "apn": types.word, "pin": types.pin}
    for name, uci_name in WAN_OPTIONS[protocol].items():
        value = table.value(name, readers.get(name, types.text))
        if value:
            options[uci_name] = value
    if address and "gateway" in options and types.ip(options["gateway"]) not in address.network:
        table.fault("gateway", f"'{options['gateway']}' is not in {address.network}", "write one that address reaches")
    if protocol in ("qmi", "mbim"):
        options.setdefault("device", MODEM)
    dns = table.values("dns", types.address)
    for name in WAN_REQUIRED.get(protocol, ()):
        if name not in table:
            table.fault("", f"has no {name}, which protocol '{protocol}' needs", f'write {name} = "…"')
    table.end(f" with protocol '{protocol}'")
    return Wan(protocol, options, tuple(dns))
