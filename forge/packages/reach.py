"""Under which address a router finds this machine: for the lines that `feed` and `serve` print.

Always an IP address if we choose it: a router asks its own resolver, which knows no name of this machine's.
"""

from __future__ import annotations

import ipaddress
import re
import socket

from forge.core.errors import UsageError

PORT = 8000  # where ./inv serve listens
UNKNOWN = "ADDRESS"  # stands in a line for what is not known here
ROUTER = "192.168.1.1"  # where OpenWrt has its own address before anybody changes it
ELSEWHERE = "2001:db8::1"  # behind the default route, where there is IPv6 alone
_DOTTED_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*\.)+[A-Za-z0-9-]*[A-Za-z][A-Za-z0-9-]*\.?", re.ASCII)


def url(port: int = PORT, address: str = "") -> str:
    """The address that `serve` is reached at on this port: at `address`, else at this machine's own, else at UNKNOWN.

    UsageError for an `address` that no router could look up.
    """
    return f"http://{_checked(address) if address else own_address() or UNKNOWN}:{port}"


def own_address() -> str:
    """This machine's address on the way to a router, as it stands in a URL; empty without any. Nothing is sent: a UDP
    socket is only pointed there."""
    for family, target in ((socket.AF_INET, ROUTER), (socket.AF_INET6, ELSEWHERE)):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((target, 9))
                found = ipaddress.ip_address(probe.getsockname()[0])
        except (OSError, ValueError):
            continue
        if not (found.is_loopback or found.is_link_local or found.is_unspecified):
            return _in_url(found)
    return ""


def _checked(address: str) -> str:
    try:
        found = ipaddress.ip_address(address.removeprefix("[").removesuffix("]"))
        if "%" in address:  # the name of an interface of ours means nothing to a router
            raise ValueError
        return _in_url(found)
    except ValueError:
        if _DOTTED_NAME.fullmatch(address):
            return address
        raise UsageError(
            f"--address: a router can't look up {address!r}", hint="give this machine's IP address, like 192.168.1.2"
        ) from None


def _in_url(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    return f"[{address}]" if address.version == 6 else str(address)
