"""Notices when an interface of this machine gets or loses an address (rtnetlink(7)): DHCP, a cable put in late.

For the supervisor, where the settings name interfaces. On OpenWrt the init script follows the networks and hands the
relay addresses instead: there nothing is watched.
"""

from __future__ import annotations

import _socket
import os
import select
import struct

from mailrelay.core.ipc import NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_GROUPS = 0x10 | 0x100  # RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR
_NEWADDR, _DELADDR, _GETADDR, _DONE = 20, 21, 22, 3
_DUMP_REQUEST = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_ADDRESS, _LOCAL, _LABEL = 1, 2, 3  # IFA_*
_TEMPORARY = 0x01  # IFA_F_TEMPORARY: IPv6's privacy addresses, on which the relay does not listen
_HEADER = struct.Struct("=IHHII")
_MESSAGE = struct.Struct("=BBBBI")
_ATTRIBUTE = struct.Struct("=HH")
_SETTLE = 1.0  # seconds: addresses come in groups
_PATIENCE = 1.0  # seconds for the kernel to tell which addresses there are


class AddressWatcher:
    """`names` None: nothing is watched. `due`: when the addresses are to be taken anew, in CLOCK_BOOTTIME."""

    def __init__(self, names: list[str] | None) -> None:
        self.due = NEVER
        self.fd = -1
        self._known: dict[tuple[int, bytes], set[str]] = {}  # address, and the names of its interface
        if names is None:
            return
        kind = _socket.SOCK_RAW | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
        try:
            self._socket = _socket.socket(_socket.AF_NETLINK, kind, 0)
            self._socket.bind((0, _GROUPS))
            body = _MESSAGE.pack(0, 0, 0, 0, 0)
            self._socket.send(_HEADER.pack(_HEADER.size + len(body), _GETADDR, _DUMP_REQUEST, 1, 0) + body)
        except OSError:  # a kernel or a sandbox without it: then a reload takes new addresses
            return
        self.fd = self._socket.fileno()
        while select.select([self.fd], [], [], _PATIENCE)[0] and not self._take([], 0.0):
            pass

    def read_changes(self, names: list[str], now: float) -> None:
        """Take what the kernel says; `due` changes if it concerns an interface with one of these names."""
        self._take(names, now)

    def _take(self, names: list[str], now: float) -> bool:
        """True once the kernel has told all addresses that there are."""
        try:
            data = self._socket.recv(1 << 16)
        except BlockingIOError:
            return False
        except OSError:  # more was said than we could hear
            self.due = now + _SETTLE
            return False
        done = False
        for kind, message in _messages(data):
            done = done or kind == _DONE
            if kind in (_NEWADDR, _DELADDR) and self._changes(kind, message).intersection(names):
                self.due = now + _SETTLE
        return done

    def _changes(self, kind: int, message: bytes) -> set[str]:
        """The names of the interface whose addresses this changes; none for what is known already."""
        family, _, flags, _, index = _MESSAGE.unpack_from(message)
        if family == _socket.AF_INET6 and flags & _TEMPORARY:
            return set()
        found = dict(_attributes(message[_MESSAGE.size :]))
        key = (index, found.get(_LOCAL) or found.get(_ADDRESS, b""))
        if kind == _DELADDR:
            return self._known.pop(key, set())
        if key in self._known:  # its lifetime was renewed
            return set()
        names = {os.fsdecode(found[_LABEL].rstrip(b"\0"))} if _LABEL in found else set()
        try:
            names.add(_socket.if_indextoname(index))
        except OSError:
            pass  # it is gone again
        self._known[key] = names
        return names


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _HEADER.size:
        length, kind = _HEADER.unpack_from(data)[:2]
        if length < _HEADER.size:
            return
        yield kind, data[_HEADER.size : length]
        data = data[(length + 3) & ~3 :]


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _ATTRIBUTE.size:
        size, kind = _ATTRIBUTE.unpack_from(data)
        if size < _ATTRIBUTE.size:
            return
        yield kind, data[_ATTRIBUTE.size : size]
        data = data[(size + 3) & ~3 :]
