"""The task `serve`: dist/feed over HTTP, to install from a router in the same room. Ends with Ctrl-C.

It reads nothing but that folder, and writes nothing. For more than a try, any web server does the same.
"""

from __future__ import annotations

import functools
import socket
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from forge import console, feed, paths
from forge.errors import ForgeError

ROUTER = "192.168.1.1"  # where OpenWrt has its own address before anybody changes it


class Handler(SimpleHTTPRequestHandler):
    """Files of the feed, and a line for each that was asked for."""

    extensions_map = {"": "application/octet-stream"}

    def log_message(self, format: str, *arguments: Any) -> None:
        words = format % arguments
        console.note(
            f"{self.client_address[0]} " + "".join(letter if letter.isprintable() else "?" for letter in words)
        )


def run(*, port: int = 8000, address: str = "") -> None:
    """Makes the feed if there is none, says what to type on the router, and serves until it is interrupted."""
    here = address or own_address()
    try:
        server = ThreadingHTTPServer(("", port), functools.partial(Handler, directory=str(paths.DIST / "feed")))
    except OSError as error:
        raise ForgeError(
            f"port {port} can't be listened on: {error.strerror}", hint="name another one with --port"
        ) from error
    with server:
        feed.run(url=f"http://{here}:{server.server_port}")
        console.say()
        console.good(
            f"serving {paths.shown(paths.DIST / 'feed')} at http://{here}:{server.server_port}; Ctrl-C ends it"
        )
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            console.say()
            console.note("no longer served")


def own_address() -> str:
    """This machine's address on the way to a router. Nothing is sent: a UDP socket is only pointed at it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((ROUTER, 9))
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()
