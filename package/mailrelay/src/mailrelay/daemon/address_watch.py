"""Notices when an interface of this machine gets or loses an address (rtnetlink(7)): DHCP, a cable put in late.

For the supervisor, where the settings name interfaces. On OpenWrt the init script follows the networks and hands the
relay addresses instead: there nothing is watched.
"""

from __future__ import annotations

import _socket
import os
import select

from mailrelay.core import rtnetlink
from mailrelay.core.ipc import NEVER

_GROUPS = 0x10 | 0x100  # RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR
_SETTLE = 1.0  # seconds: addresses come in groups
_PATIENCE = 1.0  # seconds for the kernel to tell which addresses there are


class AddressWatcher:
    """`due`: when the addresses are to be taken anew, in CLOCK_BOOTTIME. `fd`: readable when something has changed."""

    def __init__(self) -> None:
        self.due = NEVER
        self.fd = -1
        self._known: dict[tuple[int, bytes], set[str]] = {}  # address, and the names of its interface
        kind = _socket.SOCK_RAW | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
        try:
            self._socket = _socket.socket(_socket.AF_NETLINK, kind, 0)
            self._socket.bind((0, _GROUPS))
            self._socket.send(rtnetlink.GET_ADDRESSES)
        except OSError:  # a kernel or a sandbox without it: then a reload takes new addresses
            return
        self.fd = self._socket.fileno()
        while select.select([self.fd], [], [], _PATIENCE)[0] and not self.read_changes([], 0.0):
            pass

    def read_changes(self, names: list[str], now: float) -> bool:
        """Take what the kernel says; `due` changes if it concerns an interface with one of these names.

        Return true once the kernel has told all addresses that there are.
        """
        try:
            for kind, body in rtnetlink.messages(self._socket.recv(1 << 16)):
                if kind == rtnetlink.DONE:
                    return True
                if kind in (rtnetlink.NEWADDR, rtnetlink.DELADDR) and self._changes(kind, body).intersection(names):
                    self.due = now + _SETTLE
        except BlockingIOError:
            pass
        except OSError:  # more was said than we could read
            self.due = now + _SETTLE
        return False

    def _changes(self, kind: int, body: bytes) -> set[str]:
        """Return the names of the interface whose addresses this changes; none for what is known already."""
        family, _, flags, index, attributes = rtnetlink.address(body)
        if family == _socket.AF_INET6 and flags & rtnetlink.TEMPORARY:  # the relay does not listen on these
            return set()
        key = (index, attributes.get(rtnetlink.LOCAL) or attributes.get(rtnetlink.ADDRESS, b""))
        if kind == rtnetlink.DELADDR:
            return self._known.pop(key, set())
        if key in self._known:  # its lifetime was renewed
            return set()
        label = attributes.get(rtnetlink.LABEL)
        names = {os.fsdecode(label.rstrip(b"\0"))} if label else set()
        try:
            names.add(_socket.if_indextoname(index))
        except OSError:
            pass  # it is gone again
        self._known[key] = names
        return names
