"""A connection to a smarthost and the way to it: names, sockets, and TLS on top; every wait here has an end.

Knows no SMTP. smarthost opens it, dialogue reads and writes by it. Host names are bytes throughout: for a `str` Python
wants encodings.idna, which OpenWrt's python3-light lacks.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from _thread import allocate_lock, start_new_thread
from time import monotonic

from mailrelay.courier.failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from typing import TypeVar

    from mailrelay.courier.transfer import Transfer

    A = TypeVar("A")
    T = TypeVar("T")
    SocketAddress = tuple[bytes, int] | tuple[bytes, int, int, int]
    Address = tuple[int, SocketAddress]  # with its family

BLOCK = 65536  # bytes that must be through within one time limit
SLICE = 0.5  # seconds: how soon a wait notices that it was cut short
FAMILIES = {"any": socket.AF_UNSPEC, "ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}


class Deadline:
    """Until when anything may wait, whatever limit a single wait has. A signal handler may set `until`."""

    __slots__ = ("until",)

    def __init__(self) -> None:
        self.until = float("inf")

    def left(self, until: float) -> float:
        """Return the seconds until `until`, as far as the deadline goes."""
        return min(until, self.until) - monotonic()


def resolve(host: bytes, port: int, family: str, limit: float, deadline: Deadline) -> list[Address]:
    """Return the addresses of `host`, in the resolver's order. Raise Failure 'no-such-name' or 'name-timeout'.

    The resolver's own waiting cannot be interrupted, so that it is done by a thread, left alone if it takes too long.
    """
    kind = FAMILIES[family]
    try:
        return _addresses(host, port, kind, socket.AI_NUMERICHOST)
    except OSError:
        pass
    answer: list[list[Address] | OSError] = []
    done = allocate_lock()
    done.acquire()

    def ask() -> None:
        try:
            answer.append(_addresses(host, port, kind, socket.AI_ADDRCONFIG if family == "any" else 0))
        except OSError as error:
            answer.append(error)
        finally:
            done.release()

    start_new_thread(ask, ())
    until = monotonic() + limit
    while not done.acquire(timeout=max(0.0, min(SLICE, deadline.left(until)))):
        if deadline.left(until) <= 0:
            raise Failure("name", "name-timeout", f"no answer from the name server within {limit:.0f} s")
    result = answer[0]
    if isinstance(result, list):
        return result
    text = f"{host.decode('ascii', 'replace')}: {result.strerror}"
    if result.errno in (socket.EAI_NONAME, socket.EAI_NODATA, getattr(socket, "EAI_ADDRFAMILY", None)):
        raise Failure("name", "no-such-name", text)
    raise Failure("name", "name-timeout", text)


def _addresses(host: bytes, port: int, kind: int, flags: int) -> list[Address]:
    infos = socket.getaddrinfo(host, port, kind, socket.SOCK_STREAM, 0, flags)
    return [(family, (str(address[0]).encode(), *address[1:])) for family, _, _, _, address in infos]


def host_of(address: Address) -> str:
    """Return its number, of IPv6 with the interface if there is one: "fe80::1%lan"."""
    return address[1][0].decode()


def endpoint(address: Address) -> str:
    return f"{host_of(address)} port {address[1][1]}"


def connect(addresses: list[Address], limit: float, deadline: Deadline) -> tuple[Transport, Address]:
    """Connect to the first address that answers, each in turn. Raise Failure 'refused', 'timeout' or 'unreachable'.

    One that swallows packets (often IPv6 without a route) must not use up the time of those after it.
    """
    share = max(limit / len(addresses), min(limit, 10.0))
    failures = []
    for address in addresses:
        family, target = address
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            failures.append((error.errno, address))
            continue
        try:
            problem = _connect(sock, target, monotonic() + share, deadline)
        except BaseException:
            sock.close()
            raise
        if not problem:
            return Transport(sock, limit, deadline), address
        sock.close()
        failures.append((problem, address))
    text = "; ".join(f"{endpoint(address)}: {os.strerror(number or 0)}" for number, address in failures)
    numbers = [number for number, _ in failures]
    causes = {errno.ECONNREFUSED: "refused", errno.ETIMEDOUT: "timeout"}
    raise Failure("connect", next((causes[number] for number in causes if number in numbers), "unreachable"), text)


def _connect(sock: socket.socket, target: SocketAddress, until: float, deadline: Deadline) -> int:
    sock.setblocking(False)
    number = sock.connect_ex(target)
    if number != errno.EINPROGRESS:
        return number
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    while not poll.poll(max(0.0, min(SLICE, deadline.left(until))) * 1000):
        if deadline.left(until) <= 0:
            return errno.ETIMEDOUT
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


class Transport:
    """A connected socket, later maybe with TLS. TimeoutError without an errno means that a limit of ours has passed."""

    def __init__(self, sock: socket.socket, limit: float, deadline: Deadline) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(min(SLICE, limit))
        self._sock = sock
        self._deadline = deadline
        self.transfer: Transfer | None = None  # what is on its way: looked at during every wait

    @property
    def own_address(self) -> str:
        """Return the number of this end, of IPv6 without its zone."""
        return str(self._sock.getsockname()[0]).partition("%")[0]

    def _patiently(self, operation: Callable[[A], T], argument: A, until: float) -> T:
        while True:
            try:
                return operation(argument)
            except TimeoutError as error:
                if error.errno is not None or self._deadline.left(until) <= 0:
                    raise
                self._look()

    def _look(self) -> None:
        if self.transfer is not None:
            self.transfer.look(self._sock)

    def read(self, until: float) -> bytes:
        """Return some bytes; b"" once the connection is closed or broken."""
        try:
            data = self._patiently(self._sock.recv, BLOCK, until)
        except OSError as error:
            if is_our_timeout(error):
                raise
            return b""
        if self.transfer is not None:
            self.transfer.moved()
        return data

    def write(self, data: bytes, limit: float) -> None:
        """Send everything, at least BLOCK bytes in every `limit` seconds. Raise OSError if the connection is broken."""
        self._look()
        until = monotonic() + limit * (1 + len(data) // BLOCK)
        sent = self._patiently(self._sock.send, data, until)
        if sent < len(data):
            rest = memoryview(data)[sent:]
            while rest:
                if self._deadline.left(until) <= 0:  # it may be taken byte by byte
                    raise TimeoutError
                self._look()
                rest = rest[self._patiently(self._sock.send, rest, until) :]

    def readable(self) -> bool:
        """Return whether there may be something to read now."""
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return bool(poll.poll(0))

    def secure(self, context: ssl.SSLContext, host: bytes, limit: float) -> ssl.SSLSocket:
        """Do the TLS handshake. Raise ssl.SSLError, OSError or TimeoutError."""
        tls = context.wrap_socket(self._sock, server_hostname=host, do_handshake_on_connect=False)
        self._sock = tls
        self._patiently(lambda _: tls.do_handshake(), None, monotonic() + limit)
        return tls

    def close(self) -> None:
        self._sock.close()


def is_our_timeout(error: OSError) -> bool:
    return isinstance(error, TimeoutError) and error.errno is None
