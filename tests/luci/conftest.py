"""One router, one provider, one browser for all tests of the LuCI app.

The provider is real and listens on the host's loopback; `Door` opens it inside the router's network, at the ports that
providers have. Tests that change the settings put them back with the fixture `relay`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forge.host import host
from forge.servers.postfix import Provider
from tests.luci.browser import Browser
from tests.luci.standin.server import Site
from tests.support.router_container import Container

HOST = "mail.provider.example"
_CLONE_NEWNET = 0x40000000


class Door:
    """A port on the router's loopback that leads to one on the host's."""

    def __init__(self, router: Container, port: int, target: int) -> None:
        made: list[socket.socket] = []
        thread = threading.Thread(target=self._open, args=(router.pid, port, made))
        thread.start()
        thread.join()
        (self._server,) = made
        self._target = target
        threading.Thread(target=self._serve, daemon=True).start()

    @staticmethod
    def _open(pid: int, port: int, made: list[socket.socket]) -> None:
        """In a thread of its own: a namespace is entered by a thread, and a socket stays in the one it was made in."""
        with Path(f"/proc/{pid}/ns/net").open() as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        made.append(socket.create_server(("127.0.0.1", port)))

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                try:
                    provider = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    client.close()
                    continue
                for pair in ((client, provider), (provider, client)):
                    threading.Thread(target=self._pump, args=pair, daemon=True).start()

    @staticmethod
    def _pump(source: socket.socket, drain: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                drain.sendall(data)
        for end in (source, drain):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


@pytest.fixture(scope="session")
def provider() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider


@pytest.fixture(scope="session")
def router(provider: Provider) -> Iterator[Container]:
    """With the package, a way to the provider, and settings as they are after installation: switched off."""
    with Container() as router:
        router.lay_out()
        router.put("/usr/bin/logread", '#!/bin/sh\n# Stands in for logread -e PATTERN\ngrep "$2" /tmp/log\n', 0o755)
        router.put("/etc/hosts", f"127.0.0.1 localhost {HOST}\n")
        shutil.copy(provider.ca_file, router.root / "etc/provider.pem")
        router.configure(enabled="0", rest="")
        router.ok("ip", "addr", "add", "192.168.1.1/24", "dev", "lo")
        router.ok("/etc/init.d/mailrelay", "enable")
        router.ok("/etc/init.d/mailrelay", "start")
        router.ok("reload_config")
        doors = [Door(router, 587, provider.starttls_port), Door(router, 465, provider.tls_port)]
        yield router
        for door in doors:
            door.close()


@pytest.fixture(scope="session")
def site(router: Container) -> Iterator[Site]:
    with Site(router) as site:
        yield site


@pytest.fixture(scope="session")
def browser(site: Site) -> Iterator[Browser]:
    host.require("luci")
    with tempfile.TemporaryDirectory(prefix="mailrelay-browser-") as folder, Browser(site.address, folder) as browser:
        yield browser


@pytest.fixture
def call(router: Container) -> Any:
    """rpcd's object, as rpcd calls it."""
    import json

    def call(method: str, **values: object) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            router.ok("/usr/libexec/rpcd/mailrelay", "call", method, input=json.dumps(values))
        )
        return found

    return call
