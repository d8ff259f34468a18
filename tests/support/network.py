"""Networks apart from the machine's: a namespace, for as long as a `with` block lasts."""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self

CLONE_NEWNET = 0x40000000
LOOPBACK = "ip link set lo up"


class Network:
    """A network namespace with what the shell `script` sets up in it."""

    def __init__(self, script: str = LOOPBACK) -> None:
        self._argv = ["unshare", "--net", "sh", "-euc", f"{script}\necho ready\nexec sleep infinity"]

    def __enter__(self) -> Self:
        self._holder = subprocess.Popen(self._argv, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "ready\n"
        self.path = f"/proc/{self._holder.pid}/ns/net"
        return self

    def __exit__(self, *_: object) -> None:
        self._holder.kill()
        self._holder.wait()

    @contextmanager
    def within(self) -> Iterator[None]:
        """Sockets that this thread makes meanwhile belong there, for good."""
        libc = ctypes.CDLL(None, use_errno=True)
        mine = Path(f"/proc/self/task/{threading.get_native_id()}/ns/net")
        with mine.open() as own, Path(self.path).open() as there:
            assert libc.setns(there.fileno(), CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            try:
                yield
            finally:
                assert libc.setns(own.fileno(), CLONE_NEWNET) == 0

    def ip(self, *words: str) -> None:
        subprocess.run(["nsenter", f"--net={self.path}", "ip", *words], check=True)
