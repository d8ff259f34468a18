"""A guest's serial console on the terminal: what `./inv qemu` shows until Ctrl-A X, or until the guest ends.

What is printed comes from the serial log, so that nothing is missed; what is typed goes through the console's socket.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
import termios
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from forge.vm.guest import Guest

ESCAPE = 0x01  # Ctrl-A
POLL = 0.02  # seconds
HELP = "\r\n[Ctrl-A X ends the guest, Ctrl-A Ctrl-A types a Ctrl-A]\r\n"


def attach(guest: Guest) -> None:
    """Show the console until the guest ends. On a terminal keys go to the guest; elsewhere only Ctrl-C counts."""
    with socket.socket(socket.AF_UNIX) as console:
        console.connect(str(guest.folder / "console"))
        typing = is_interactive()
        keys = Keys()
        shown = 0
        with _raw(sys.stdin.fileno()) if typing else contextlib.nullcontext():
            while guest.running():
                sources: list[socket.socket | TextIO] = [console, *([sys.stdin] if typing else [])]
                ready, _, _ = select.select(sources, [], [], POLL)
                if console in ready and not _drain(console):
                    break
                if sys.stdin in ready:
                    data = keys.take(os.read(sys.stdin.fileno(), 1024))
                    if data is None:
                        return
                    console.sendall(data)
                shown = _show(guest.serial.log, shown)
            _show(guest.serial.log, shown)


def is_interactive() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


class Keys:
    """What was typed, as it goes to the guest."""

    def __init__(self) -> None:
        self._escaped = False

    def take(self, data: bytes) -> bytes | None:
        """The bytes for the guest; None once Ctrl-A X was typed."""
        out = bytearray()
        for byte in data:
            if self._escaped:
                self._escaped = False
                if byte in b"xX":
                    return None
                if byte == ESCAPE:
                    out.append(byte)
                else:
                    _write(HELP.encode())
            elif byte == ESCAPE:
                self._escaped = True
            else:
                out.append(byte)
        return bytes(out)


@contextlib.contextmanager
def _raw(terminal: int) -> Iterator[None]:
    """Every key comes at once and as it is, Ctrl-C included; the terminal is as before afterwards."""
    before = termios.tcgetattr(terminal)
    try:
        tty.setraw(terminal)
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _drain(console: socket.socket) -> bool:
    """Read and drop what the log has too; False once QEMU has closed it."""
    try:
        return bool(console.recv(65536, socket.MSG_DONTWAIT))
    except BlockingIOError:
        return True
    except OSError:
        return False


def _show(log: Path, shown: int) -> int:
    with contextlib.suppress(FileNotFoundError), log.open("rb") as file:
        file.seek(shown)
        data = file.read()
        _write(data)
        shown += len(data)
    return shown


def _write(data: bytes) -> None:
    if data:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
