"""What this machine lacks for the tests, before they start: then what is skipped or fails is no riddle.

Packages are not asked for here (host.require). This is about how the machine is set up: a container or a chroot often
has no loop devices, no namespaces, no pseudo terminals. checks.py tells it in one line.
"""

from __future__ import annotations

import os
import pty
import socket
from collections.abc import Iterator
from pathlib import Path

from forge.core import proc
from forge.core.errors import ForgeError
from forge.host import namespaces
from forge.servers import postfix

TIMEOUT = 60.0


def line() -> str:
    """All of it, or nothing."""
    found = list(_found())
    return f"this machine lacks for the tests: {'; '.join(found)}" if found else ""


def _found() -> Iterator[str]:
    if not Path("/proc/self/stat").exists():
        yield "/proc (mount -t proc proc /proc)"
        return
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        if reason := _unbound(family, address):
            yield f"loopback ({address}: {reason})"
    try:
        socket.getaddrinfo("localhost", None)
    except OSError as error:
        yield f"the name localhost (/etc/hosts: {error.strerror})"
    if reason := without_terminals():
        yield f"pseudo terminals (/dev/pts: {reason})"
    if reason := postfix.obstacle():
        yield f"root ({reason})"
    if os.geteuid() == 0:
        if reason := _without_namespaces():
            yield f"namespaces ({reason})"
        if not Path("/dev/loop-control").exists():
            yield "loop devices (/dev/loop-control)"


def _unbound(family: socket.AddressFamily, address: str) -> str:
    """Why no socket can be bound to this address, or nothing."""
    try:
        with socket.socket(family) as one:
            one.bind((address, 0))
    except OSError as error:
        return error.strerror or str(error)
    return ""


def without_terminals() -> str:
    """Why no pseudo terminal can be opened, as in a chroot without /dev/pts, or nothing."""
    try:
        for end in pty.openpty():
            os.close(end)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _without_namespaces() -> str:
    try:
        proc.run([*namespaces.apart("--net", "--pid", "--fork"), "true"], timeout=TIMEOUT)
    except ForgeError as error:
        return error.message.splitlines()[-1].removeprefix("  | ")
    return ""
