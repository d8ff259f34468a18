"""A guest's serial console: what this boot has printed, a keyboard, and the log that outlives the guest.

guest.py makes one for each guest. QEMU writes the log and holds the socket, both in the guest's folder.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
from pathlib import Path

from forge.core import paths
from forge.vm import registry

LOGS_KEPT = 20
DEAD = re.compile(rb"Kernel panic - not syncing.*|^lab: .*", re.MULTILINE)
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[^\n\t -~\u00a0-\U0010ffff]")


class SerialConsole:
    def __init__(self, folder: Path, target: str) -> None:
        self.log = folder / "serial.log"
        self._socket = folder / "console"
        self._target = target
        self._boot = 0  # where in the log this boot begins

    def begin(self) -> None:
        """Count what is printed from now on: the guest is powered on."""
        self._socket.unlink(missing_ok=True)
        self._boot = self.log.stat().st_size if self.log.exists() else 0

    def read(self) -> bytes:
        try:
            with self.log.open("rb") as file:
                file.seek(self._boot)
                return file.read()
        except FileNotFoundError:
            return b""

    @property
    def text(self) -> str:
        """What this boot has printed so far, without control characters."""
        return _CONTROL.sub("", self.read().decode(errors="replace"))

    def last_line(self) -> str:
        """What it said last, of printable ASCII alone, cut for a line of progress."""
        lines = self.read()[-400:].decode("ascii", errors="ignore").strip().splitlines()
        return "".join(letter for letter in lines[-1] if letter.isprintable())[:50] if lines else "QEMU starts"

    def death(self) -> str:
        """The line by which its kernel or the lab's first program has died, or nothing."""
        dead = DEAD.search(self.read())
        return _CONTROL.sub("", dead[0].decode(errors="replace")).strip() if dead else ""

    def type(self, line: str) -> None:
        """Type a line, as on a keyboard; what comes of it is in `text`. Return once it is echoed."""
        with socket.socket(socket.AF_UNIX) as keyboard:
            keyboard.connect(str(self._socket))
            keyboard.sendall(line.encode() + b"\n")
            keyboard.settimeout(5.0)  # QEMU forgets what the guest has not read yet when the connection ends
            echo = b""
            with contextlib.suppress(TimeoutError):
                while b"\n" not in echo.partition(line.encode())[2] and (data := keyboard.recv(4096)):
                    echo += data

    def keep(self) -> Path | None:
        """Copy the log to the cache, which keeps the newest; return the copy."""
        if not self.log.exists() or not self.log.stat().st_size:
            return None
        folder = paths.cache("serial")
        name = f"{self._target.replace('/', '-')}-{self.log.parent.name.removeprefix(registry.PREFIX)}.log"
        with contextlib.suppress(OSError):
            shutil.copyfile(self.log, folder / name)
            logs = sorted(folder.glob("*.log"), key=lambda path: path.stat().st_mtime)
            for old in logs[:-LOGS_KEPT]:
                old.unlink()
        return folder / name
