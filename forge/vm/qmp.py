"""QEMU's control connection (QMP): commands and their answers, and what QEMU tells by itself.

One JSON object a line over a socket in the file system; guest.py is the only caller.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from forge.core.errors import ForgeError

TIMEOUT = 60.0  # seconds for one answer


class QmpError(ForgeError):
    """QEMU refuses a command, or is gone."""


class Monitor:
    """One connection. Not for several threads at a time."""

    def __init__(self, path: Path, *, timeout: float, alive: Callable[[], bool]) -> None:
        """Connects as soon as QEMU listens; QmpError when it ends before that, or not in time."""
        self.events: list[dict[str, Any]] = []
        self._socket = socket.socket(socket.AF_UNIX)
        deadline = time.monotonic() + timeout
        while True:
            try:
                self._socket.connect(str(path))
                break
            except OSError:
                if not alive() or time.monotonic() > deadline:
                    self._socket.close()
                    raise QmpError("QEMU does not open its control socket") from None
                time.sleep(0.01)
        self._socket.settimeout(TIMEOUT)
        self._buffer = b""
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
            if "event" in message:
                self.events.append(message)
            elif "error" in message:
                raise QmpError(f"QEMU refuses {command}: {message['error']['desc']}")
            else:
                return message.get("return")

    def ask(self, words: str) -> str:
        """What the monitor for people prints: for the little that only it can say."""
        return str(self.run("human-monitor-command", {"command-line": words}))

    def wait_for(self, event: str, timeout: float) -> dict[str, Any]:
        """The next event of that name, one that has already come included."""
        deadline = time.monotonic() + timeout
        while True:
            for message in self.events:
                if message["event"] == event:
                    self.events.remove(message)
                    return message
            left = deadline - time.monotonic()
            if left <= 0:
                raise QmpError(f"QEMU does not tell {event} within {timeout:g} s")
            self._socket.settimeout(left)
            try:
                message = self._message()
            finally:
                self._socket.settimeout(TIMEOUT)
            if "event" in message:
                self.events.append(message)

    def close(self) -> None:
        with contextlib.suppress(OSError):
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
        message: dict[str, Any] = json.loads(line)
        return message
