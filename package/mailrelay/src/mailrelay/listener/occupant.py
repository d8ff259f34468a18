"""Who has a port that the relay cannot get, and how to make them leave it: for log, status and `check`.

Imported only when an address is in use. Looks into /proc (proc(5)), which shows other users' sockets to root alone.
"""

from __future__ import annotations

import _socket
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_LISTEN = "0A"  # TCP_LISTEN, include/net/tcp_states.h
_MAPPED = bytes(10) + b"\xff\xff"  # before an IPv4 address in an IPv6 one


def taken_by(address: str, port: int) -> str:
    """Name the program that listens there, as "postfix (pid 123)"; "" where none is found or may be seen."""
    family = _socket.AF_INET6 if ":" in address else _socket.AF_INET
    wanted = _socket.inet_pton(family, address.partition("%")[0])
    inodes = [inode for place, inode in _listening(port) if place == wanted or not any(place) or not any(wanted)]
    pid = _holder({f"socket:[{inode}]" for inode in inodes})
    return f"{_name(pid)} (pid {pid})" if pid else ""


def stop_command(name: str) -> str:
    """Return what stops a service that `taken_by` has named, for good; "" if it is none."""
    program = name.partition(" ")[0]
    if not program or not os.path.exists(f"/etc/init.d/{program}"):
        return ""
    if os.path.isdir("/run/systemd/system"):
        return f"systemctl disable --now {program}"
    return f"service {program} stop; service {program} disable"


def advice(name: str, port: int) -> str:
    """Say how to free the port from what `taken_by` has named."""
    return f"{stop_command(name) or 'stop it'}; or give the relay another port than {port}"


def _listening(port: int) -> Iterator[tuple[bytes, str]]:
    """Yield the address and inode of every TCP socket that listens on that port."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table, encoding="ascii") as file:
                rows = [line.split() for line in file][1:]
        except OSError:
            continue  # a kernel without IPv6
        for row in rows:
            place, _, number = row[1].partition(":")
            if row[3] == _LISTEN and int(number, 16) == port:
                words = (int(place[at : at + 8], 16) for at in range(0, len(place), 8))  # each in the CPU's byte order
                yield b"".join(word.to_bytes(4, sys.byteorder) for word in words).removeprefix(_MAPPED), row[9]


def _holder(sockets: set[str]) -> int:
    """Return the oldest process that has one of them open; 0 for none that we may look at."""
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()) if sockets else ():
        try:
            if any(os.readlink(f"/proc/{pid}/fd/{fd}") in sockets for fd in os.listdir(f"/proc/{pid}/fd")):
                return pid
        except OSError:
            continue  # it has ended, or is somebody else's
    return 0


def _name(pid: int) -> str:
    """Return the name that its owner knows a process by."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
        if b"serve" in words and any(word.endswith((b"mailrelay", b"relay")) for word in words):
            return "another mailrelay"
        if "postfix" in os.readlink(f"/proc/{pid}/exe").split("/"):
            return "postfix"  # its own name is master
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as comm:
            return comm.read().strip()
    except OSError:
        return "a program"
