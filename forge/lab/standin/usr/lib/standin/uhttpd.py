"""Stand-in for uhttpd: the files of /www, and /ubus, which takes JSON-RPC calls of those whose session allows them.

It listens once /etc/init.d/uhttpd has asked for it: no web server is there for who does not want one.
"""

from __future__ import annotations

import _socket
import os

import bus
import lean
import loop
import session
from door import Writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PORT = 80
DENIED = {"code": -32002, "message": "Access denied"}
INVALID = {"code": -32600, "message": "Invalid request"}
_ROOT = "/www"
_KINDS = {"js": "text/javascript", "json": "application/json", "css": "text/css"}
_server: _socket.socket | None = None


def start() -> None:
    global _server
    if _server is None:
        _server = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK)
        _server.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        _server.bind(("0.0.0.0", PORT))
        _server.listen(16)
        loop.watch(_server.fileno(), _accept)


def _accept() -> None:
    assert _server is not None
    descriptor, _ = _server._accept()  # type: ignore[attr-defined]
    os.set_blocking(descriptor, False)
    Client(descriptor)


class Client:
    """One connection, which may ask again and again, one thing after the other."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.writer = Writer(descriptor)
        self.received = b""
        self.busy = False
        loop.watch(descriptor, self.read)

    def read(self) -> None:
        try:
            data = os.read(self.descriptor, 65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            loop.forget(self.descriptor)
            self.writer.close()
            return
        self.received += data
        self.serve()

    def serve(self) -> None:
        head, whole, rest = self.received.partition(b"\r\n\r\n")
        if not whole or self.busy:
            return
        request, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0"))
        if len(rest) < length:
            return
        body, self.received, self.busy = rest[:length], rest[length:], True
        method, path, _ = request.split(" ", 2)
        path = path.partition("?")[0]
        if method == "POST" and path.startswith("/ubus"):
            self.call(body)
        else:
            self.file(path)

    def reply(self, status: str, kind: str, body: bytes) -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        self.writer.send(head.encode() + body)
        self.busy = False
        self.serve()

    def file(self, path: str) -> None:
        """What belongs to LuCI's dispatcher is its one page."""
        place = os.path.realpath(f"{_ROOT}/cgi-bin/luci" if path.startswith("/cgi-bin/luci/") else _ROOT + path)
        if not (place.startswith(f"{_ROOT}/") and os.path.isfile(place)):
            self.reply("404 Not Found", "text/plain", b"")
            return
        with open(place, "rb") as file:
            kind = _KINDS.get(place.rpartition(".")[2], "text/html")
            self.reply("200 OK", f"{kind}; charset=utf-8", file.read())

    def call(self, body: bytes) -> None:
        """{"method": "call", "params": [SESSION, OBJECT, METHOD, ARGUMENTS]}; answered by [STATUS, REPLY]."""
        try:
            asked = lean.loads(body.decode())
            number, (caller, name, method, message) = asked.get("id"), asked["params"]
        except (ValueError, AttributeError, KeyError, TypeError):
            self.answer(None, error=INVALID)
            return

        def done(status: int, reply: Any) -> None:
            self.answer(number, result=[status] if reply is None else [status, reply])

        if not session.allows(caller, "ubus", name, method):
            self.answer(number, error=DENIED)
            return
        # rpcd's own objects are told who asks.
        own = {"ubus_rpc_session": caller} if name in ("uci", "session", "file") else {}
        bus.call(name, method, {**message, **own}, done)

    def answer(self, number: object, **result: object) -> None:
        text = lean.dumps({"jsonrpc": "2.0", "id": number, **result})
        self.reply("200 OK", "application/json", text.encode("utf-8", "surrogateescape"))
