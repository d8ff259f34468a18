"""The line on a terminal that says what is under way and for how long: gone as soon as anything else is printed.

console.py starts it for a step, and clears it before each line; nothing of it reaches a log.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TextIO

AFTER = 0.5  # seconds before it appears: what is quick needs none
EVERY = 0.25
CLEAR = "\r\x1b[K"
WIDEST = 100


class Ticker:
    """Writes `text…, detail (12 s)` under `lock` until stop(). `detail` may be replaced at any time."""

    def __init__(self, text: str, stream: TextIO, lock: threading.RLock) -> None:
        self.detail: Callable[[], str] = str
        self._text = text
        self._stream = stream
        self._lock = lock
        self._shown = False
        self._quiet = 0  # others have the line
        self._ended = threading.Event()
        self._started = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        pause = AFTER
        while not self._ended.wait(pause):
            pause = EVERY
            detail = self.detail()
            took = int(time.monotonic() - self._started)
            line = f" ..  {self._text}…{f' {detail}' if detail else ''}"[:WIDEST]
            with self._lock:
                if not self._quiet and not self._ended.is_set():
                    self._stream.write(f"{CLEAR}{line} {took} s")
                    self._stream.flush()
                    self._shown = True

    def clear(self) -> None:
        """Make room for another line; the caller holds the lock."""
        if self._shown:
            self._stream.write(CLEAR)
            self._stream.flush()
            self._shown = False

    def give_way(self, by: int) -> None:
        """Leave the line to a bar (1), or take it back (-1)."""
        with self._lock:
            self._quiet += by
            self.clear()

    def stop(self) -> None:
        self._ended.set()
        with self._lock:
            self.clear()
