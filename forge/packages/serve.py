"""The task `serve`: dist/feed over HTTP, to install from a router in the same room. Ends with Ctrl-C.

It reads nothing but that folder, and writes nothing. For more than a try, any web server does the same.
"""

from __future__ import annotations

import errno
import functools
import socket
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from forge.core import console, paths
from forge.core.errors import ForgeError
from forge.packages import feed, reach


class Handler(SimpleHTTPRequestHandler):
    """Files of the feed, and a line for each that was asked for."""

    extensions_map = {"": "application/octet-stream"}

    def log_message(self, format: str, *arguments: Any) -> None:
        words = format % arguments
        console.note(
            f"{self.client_address[0].removeprefix('::ffff:')} "
            + "".join(letter if letter.isprintable() else "?" for letter in words)
        )


class Server(ThreadingHTTPServer):
    """Takes IPv6 and IPv4 on one socket, where the machine has both."""

    address_family = socket.AF_INET6

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


def run(*, port: int = reach.PORT, address: str = "") -> None:
    """Make the feed if there is none, say what to type on the router, and serve until it is interrupted."""
    reach.url(port, address)  # an address that makes no sense is told before anything is done
    with listening(port) as server:
        url = reach.url(server.server_port, address)
        feed.run(url=url)
        console.say()
        console.good(f"serving {paths.shown(paths.DIST / 'feed')} at {url}; Ctrl-C ends it")
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            console.say()
            console.note("no longer served")


def listening(port: int) -> ThreadingHTTPServer:
    handler = functools.partial(Handler, directory=str(paths.DIST / "feed"))
    try:
        return Server(("::", port), handler)
    except OSError as error:
        if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.ENOPROTOOPT):
            raise _taken(port, error) from error
    try:
        return ThreadingHTTPServer(("", port), handler)  # a machine without IPv6
    except OSError as error:
        raise _taken(port, error) from error


def _taken(port: int, error: OSError) -> ForgeError:
    return ForgeError(f"port {port} can't be listened on: {error.strerror}", hint="name another one with --port")
