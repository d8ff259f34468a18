"""The network interfaces of this machine: their addresses and subnets, asked from the kernel over rtnetlink.

`list network` names interfaces on a plain Linux; OpenWrt's init script resolves its own network names and hands the
relay addresses instead. Read by `schema` for its checks and by the relay at its start; never kept in memory.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable

from mailrelay.core.net import Net

_GETADDR, _DONE, _ERROR = 22, 3, 2  # nlmsg_type: RTM_GETADDR, NLMSG_DONE, NLMSG_ERROR
_DUMP_REQUEST = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_PEER, _LOCAL, _LABEL = 1, 2, 3  # IFA_ADDRESS, IFA_LOCAL, IFA_LABEL
_TEMPORARY, _DAD_FAILED = 0x01, 0x08  # IFA_F_*; IPv6 only
_HEADER = struct.Struct("=IHHII")
_MESSAGE = struct.Struct("=BBBBI")
_ATTRIBUTE = struct.Struct("=HH")


class UnknownInterface(ValueError):
    """A name that no interface of this machine bears; the text lists those that exist."""


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
    """The addresses to listen on and the subnets to serve for interfaces of these names; both without repeats.

    An interface without an address adds nothing. UnknownInterface names all that do not exist.
    """
    found = addresses()
    wanted = list(names)
    known = {name for _, name in socket.if_nameindex()} | {entry.label for entry in found}
    missing = [name for name in wanted if name not in known]
    if missing:
        raise UnknownInterface(_unknown(missing, known))
    mine = [entry for name in wanted for entry in found if name in (entry.interface, entry.label)]
    listen = dict.fromkeys(entry.address for entry in mine if entry.lasting)
    return list(listen), list(dict.fromkeys(entry.subnet for entry in mine))


def _unknown(missing: list[str], known: set[str]) -> str:
    import difflib

    text = "; ".join(f"there is no network interface '{name}'" for name in missing)
    near = difflib.get_close_matches(missing[0], known, 1)
    return f"{text}; this machine has {', '.join(sorted(known))}" + (f" (did you mean '{near[0]}'?)" if near else "")


def addresses() -> list[Address]:
    """Every address of every interface, secondary ones too. OSError if the kernel does not answer."""
    found: list[Address] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as netlink:
        netlink.settimeout(5)
        netlink.bind((0, 0))
        body = _MESSAGE.pack(0, 0, 0, 0, 0)
        netlink.send(_HEADER.pack(_HEADER.size + len(body), _GETADDR, _DUMP_REQUEST, 1, 0) + body)
        while True:
            data = netlink.recv(1 << 16)
            while len(data) >= _HEADER.size:
                length, kind = _HEADER.unpack_from(data)[:2]
                if length < _HEADER.size:
                    raise OSError("the kernel's list of addresses is malformed")
                message, data = data[_HEADER.size : length], data[(length + 3) & ~3 :]
                if kind == _DONE:
                    return found
                if kind == _ERROR:
                    code = -struct.unpack_from("=i", message)[0]
                    raise OSError(code, os.strerror(code))
                entry = _address(message)
                if entry:
                    found.append(entry)


def _address(message: bytes) -> Address | None:
    """One RTM_NEWADDR message, see rtnetlink(7)."""
    family, length, flags, _, index = _MESSAGE.unpack_from(message)
    if family not in (socket.AF_INET, socket.AF_INET6):
        return None
    try:
        interface = socket.if_indextoname(index)
    except OSError:  # it went away meanwhile
        return None
    attributes: dict[int, bytes] = {}
    rest = message[_MESSAGE.size :]
    while len(rest) >= _ATTRIBUTE.size:
        size, kind = _ATTRIBUTE.unpack_from(rest)
        if size < _ATTRIBUTE.size:
            break
        attributes[kind] = rest[_ATTRIBUTE.size : size]
        rest = rest[(size + 3) & ~3 :]
    peer = attributes.get(_PEER, b"")
    local = attributes.get(_LOCAL, peer)  # differs from the peer on point-to-point links
    if not peer or (family == socket.AF_INET6 and flags & _DAD_FAILED):
        return None
    width = len(peer) * 8
    base = int.from_bytes(peer, "big") >> (width - length) << (width - length)
    address = socket.inet_ntop(family, local)
    if address.startswith("fe80:"):
        address += "%" + interface
    return Address(
        interface,
        attributes.get(_LABEL, b"").rstrip(b"\0").decode("utf-8", "replace") or interface,
        address,
        f"{socket.inet_ntop(family, base.to_bytes(len(peer), 'big'))}/{length}",
        family == socket.AF_INET or not flags & _TEMPORARY,
    )


def own(address: str) -> bool:
    """True if a connection to this address ends on this machine."""
    if any(Net.parse(net).contains(address) for net in ("127.0.0.0/8", "0.0.0.0", "::1", "::")):
        return True
    try:
        return any(Net.parse(entry.address.partition("%")[0]).contains(address) for entry in addresses())
    except OSError:
        return False
