"""A server on one side of a wall, whose connections go on on the other side."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable


class Tunnel:
    """What `server` takes is carried to what `connect` makes, and back."""

    def __init__(self, server: socket.socket, connect: Callable[[], socket.socket]) -> None:
        self.address: tuple[str, int] = server.getsockname()
        self._server, self._connect = server, connect
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        try:
            there = self._connect()
        except OSError:
            client.close()
            return
        there.settimeout(None)
        threading.Thread(target=self._pump, args=(there, client), daemon=True).start()
        self._pump(client, there)

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
