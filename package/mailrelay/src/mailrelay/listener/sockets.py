"""The sockets that the relay listens on: bound by the supervisor, handed to every listener by fork.

An address that is not there yet never stops the others: it is bound ahead of time where the kernel can do that, else
tried again until it can be bound.
"""

from __future__ import annotations

import _socket
import errno
import os

from mailrelay.core import clock, log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_RETRY = 5.0  # seconds between two tries to bind an address
_IP_FREEBIND, _IPV6_FREEBIND = 15, 78


class ListenSockets:
    """What is bound (`open`), what cannot be yet, and why (`missing`), and of what another program has, by whom
    (`taken`, as the status file has it). An endpoint is an address and a port."""

    def __init__(self) -> None:
        self.open: dict[tuple[str, int], _socket.socket] = {}
        self.missing: dict[tuple[str, int], str] = {}
        self.taken: dict[tuple[str, int], dict[str, str]] = {}
        self.retry_due = 0.0

    def bind(self, wanted: Iterable[tuple[str, int]]) -> bool:
        """Bind what is wanted and close what is not; return whether anything is newly bound."""
        endpoints = set(wanted)
        for endpoint in self.open.keys() - endpoints:
            self.open.pop(endpoint).close()
        known, self.missing, self.taken = self.missing, {}, {}
        new = False
        for endpoint in sorted(endpoints - self.open.keys()):
            try:
                self.open[endpoint] = _bind(*endpoint)
                new = True
            except OSError as error:
                reason = os.strerror(error.errno) if error.errno else str(error)
                if endpoint[0] == "::1" and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    continue  # a machine without IPv6
                advice = None
                if error.errno == errno.EADDRINUSE:
                    from mailrelay.listener import occupant

                    by = occupant.taken_by(*endpoint)
                    advice = occupant.advice(by, endpoint[1])
                    stop = occupant.stop_command(by)
                    self.taken[endpoint] = {"endpoint": show(endpoint), "by": by, "advice": advice, "stop": stop}
                    reason = f"taken by {by or 'another program'}"
                if known.get(endpoint) != reason:
                    log.event("cannot-listen", log.ERROR, address=show(endpoint), reason=reason, advice=advice)
                self.missing[endpoint] = reason
        self.retry_due = clock.boottime() + _RETRY
        return new

    def names(self) -> list[str]:
        return sorted(map(show, self.open))


def _bind(address: str, port: int) -> _socket.socket:
    """Return a listening socket, also for an address that is not there yet."""
    bare, _, zone = address.partition("%")
    six = ":" in bare
    sock = _socket.socket(_socket.AF_INET6 if six else _socket.AF_INET, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)  # inherited by every connection
        if six:
            sock.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, 1)
            if bare != "::1":
                sock.setsockopt(_socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
            sock.bind((bare, port, 0, _socket.if_nametoindex(zone) if zone else 0))
        else:
            sock.setsockopt(_socket.IPPROTO_IP, _IP_FREEBIND, 1)
            sock.bind((bare, port))
        sock.listen(1024)
    except BaseException:
        sock.close()
        raise
    return sock


def show(endpoint: tuple[str, int]) -> str:
    address, port = endpoint
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
