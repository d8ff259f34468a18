"""QEMU's control connection (QMP): commands and their answers; what QEMU tells by itself is passed over.

One JSON object a line over a socket in the file system; guest.py is the only caller.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from forge.core import timeouts
from forge.core.errors import ForgeError

TIMEOUT = 60.0  # seconds for one answer


class QmpError(ForgeError):
    """QEMU refuses a command, or is gone."""


class Monitor:
    """One connection. Not for several threads at a time."""

    def __init__(self, path: Path, *, timeout: float, alive: Callable[[], bool]) -> None:
        """Connect as soon as QEMU listens; raise QmpError when it ends before that, or not in time."""
        self._socket = socket.socket(socket.AF_UNIX)
        self._buffer = b""

        silent = QmpError("QEMU does not open its control socket")

        def connected() -> bool:
            try:
                self._socket.connect(str(path))
            except OSError:
                if not alive():
                    raise silent from None
                return False
            return True

        try:
            timeouts.wait(connected, time.monotonic() + timeout, lambda: silent, 0.01)
        except QmpError:
            self._socket.close()
            raise
        self._socket.settimeout(TIMEOUT)
        self._message()  # its greeting
        self.run("qmp_capabilities")

    def run(self, command: str, arguments: dict[str, Any] | None = None, *, fd: int | None = None) -> Any:
        """The answer's `return`; `fd` is handed to QEMU along with the command."""
        request = {"execute": command, "arguments": arguments or {}}
        data = json.dumps(request).encode() + b"\n"
        try:
            if fd is None:
                self._socket.sendall(data)
            else:
                socket.send_fds(self._socket, [data], [fd])
        except OSError as error:
            raise QmpError(f"QEMU is gone: {error.strerror}") from None
        while True:
            message = self._message()
            if "error" in message:
                raise QmpError(f"QEMU refuses {command}: {message['error']['desc']}")
            if "event" not in message:
                return message.get("return")

    def ask(self, words: str) -> str:
        """What the monitor for people prints: for the little that only it can say."""
        return str(self.run("human-monitor-command", {"command-line": words}))

    def close(self) -> None:
        self._socket.close()

    def _message(self) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            try:
                chunk = self._socket.recv(65536)
            except TimeoutError:
                raise QmpError("QEMU does not answer") from None
            except OSError as error:
                raise QmpError(f"QEMU is gone: {error.strerror}") from None
            if not chunk:
                raise QmpError("QEMU is gone")
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return dict(json.loads(line))
