"""Free TCP ports on loopback for servers that are about to start, and their greetings: for demo, bench and tests.

A port is free when it is asked for, and not reserved: whoever asks binds it at once. Runs on every Python that the
relay's tests run on, 3.10 included.
"""

from __future__ import annotations

import random
import socket
from pathlib import Path

_LOWEST = 10000
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_ports(count: int) -> list[int]:
    """`count` different ports that nothing has on 127.0.0.1.

    They lie below those that the kernel gives to outgoing connections: between our asking and the server's binding, one
    of those would often be taken by another program's connection.
    """
    try:
        highest = int(_RANGE.read_text().split()[0])
    except (OSError, ValueError):
        highest = 32768
    if highest < _LOWEST + 1000:
        highest = 32768
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(_LOWEST, highest)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found


def greeting(address: tuple[str, int], timeout: float = 5.0) -> str:
    """The first line that a server says; "" where there is none, it says nothing, or the connection is refused."""
    try:
        with socket.create_connection(address, timeout) as client, client.makefile("rb") as lines:
            return lines.readline().decode(errors="replace").strip()
    except OSError:
        return ""
