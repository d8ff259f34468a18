"""A machine on the LAN that connects to the relay again and again: whether it ever finds a closed door."""

from __future__ import annotations

import re
import threading
from types import TracebackType

from tests.support.router import Router

PAUSE = 0.05  # seconds between two connections


class Caller(threading.Thread):
    """`with Caller(router) as caller` connects until the end; `greetings` has what it was told, or why it was not."""

    def __init__(self, router: Router) -> None:
        super().__init__()
        self.router = router
        self.greetings: list[str] = []
        self._done = threading.Event()

    def __enter__(self) -> Caller:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self.join()

    def run(self) -> None:
        while not self._done.wait(PAUSE):
            self.greetings.append(self._greeting())

    def _greeting(self) -> str:
        greeting = ""
        try:
            with self.router.connect(25) as sock, sock.makefile("rb") as lines:
                greeting = lines.readline().decode()
                sock.sendall(b"QUIT\r\n")
                lines.read()
                return greeting
        except OSError as error:
            return f"{greeting}{error}"

    def disappointments(self, *, but_cut_off: bool = False) -> list[str]:
        """What was no greeting, or not followed by a whole session, unless that may be cut off."""
        good = re.compile(r"220 .*\r\n" if but_cut_off else r"220 .*\r\n\Z")
        return [greeting for greeting in self.greetings if not good.match(greeting)]
