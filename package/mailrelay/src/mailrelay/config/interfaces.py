"""The network interfaces of this machine: their addresses and subnets, asked from the kernel over rtnetlink.

`list network` names interfaces on a plain Linux; OpenWrt's init script resolves its own network names and hands the
relay addresses instead. Read by `schema` for its checks and by the relay at its start; never kept in memory.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterable

from mailrelay.core import rtnetlink
from mailrelay.core.net import Net


class Address:
    """One address of one interface: `address` to listen on, `subnet` the machines beside it ("192.168.1.0/24")."""

    __slots__ = ("interface", "label", "address", "subnet", "lasting")

    def __init__(self, interface: str, label: str, address: str, subnet: str, lasting: bool) -> None:
        self.interface = interface
        self.label = label
        self.address = address  # a link-local one carries its zone: "fe80::1%eth0"
        self.subnet = subnet
        self.lasting = lasting  # false for IPv6 privacy addresses, which change daily


def resolve(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the addresses to listen on and the subnets to serve for interfaces of these names, without repeats.

    A name that no interface bears, or one without an address, adds nothing.
    """
    found = addresses()
    mine = [entry for name in names for entry in found if name in (entry.interface, entry.label)]
    listen = dict.fromkeys(entry.address for entry in mine if entry.lasting)
    return list(listen), list(dict.fromkeys(entry.subnet for entry in mine))


def addresses() -> list[Address]:
    """Return every address of every interface, secondary ones too. OSError if the kernel does not answer."""
    found: list[Address] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as netlink:
        netlink.settimeout(5)
        netlink.bind((0, 0))
        netlink.send(rtnetlink.GET_ADDRESSES)
        while True:
            for kind, body in rtnetlink.messages(netlink.recv(1 << 16)):
                if kind == rtnetlink.DONE:
                    return found
                if kind == rtnetlink.ERROR:
                    code = -int.from_bytes(body[:4], sys.byteorder, signed=True)
                    raise OSError(code, os.strerror(code))
                entry = _address(body)
                if entry:
                    found.append(entry)


def _address(body: bytes) -> Address | None:
    """Read one NEWADDR message."""
    family, length, flags, index, attributes = rtnetlink.address(body)
    if family not in (socket.AF_INET, socket.AF_INET6):
        return None
    try:
        interface = socket.if_indextoname(index)
    except OSError:  # it went away meanwhile
        return None
    peer = attributes.get(rtnetlink.ADDRESS, b"")
    local = attributes.get(rtnetlink.LOCAL, peer)
    if not peer or (family == socket.AF_INET6 and flags & rtnetlink.DAD_FAILED):
        return None
    width = len(peer) * 8
    base = int.from_bytes(peer, "big") >> (width - length) << (width - length)
    address = socket.inet_ntop(family, local)
    if address.startswith("fe80:"):
        address += "%" + interface
    return Address(
        interface,
        attributes.get(rtnetlink.LABEL, b"").rstrip(b"\0").decode("utf-8", "replace") or interface,
        address,
        f"{socket.inet_ntop(family, base.to_bytes(len(peer), 'big'))}/{length}",
        family == socket.AF_INET or not flags & rtnetlink.TEMPORARY,
    )


def is_loopback(address: str) -> bool:
    """Tell whether a connection to this address ends on the machine that makes it, whichever that is."""
    return any(Net.parse(net).contains(address) for net in ("127.0.0.0/8", "0.0.0.0", "::1", "::"))


def own(address: str) -> bool:
    """Tell whether a connection to this address ends on this machine."""
    if is_loopback(address):
        return True
    try:
        return any(Net.parse(entry.address.partition("%")[0]).contains(address) for entry in addresses())
    except OSError:
        return False
