"""Notices that a transfer to a smarthost lasts, and whether its bytes still move.

Told by smarthost when a message begins and ends, by transport whenever a wait is looked after. Decides nothing.
"""

from __future__ import annotations

import socket
import sys
from time import monotonic

from mailrelay.courier.second import HANGING, MOVING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_LONG = 2.0  # seconds after which a transfer lasts
_STILL = 1.5  # seconds without a byte acknowledged or read after which it hangs
_NEVER = float("inf")
# struct tcp_info of Linux (include/uapi/linux/tcp.h): milliseconds since the last ACK, and bytes acknowledged
_LAST_ACK, _ACKED = 56, 120


class Transfer:
    """One at a time. `notice` is called with MOVING or HANGING when it lasts and at each change, with "" at last."""

    def __init__(self, notice: Callable[[str], None]) -> None:
        self._notice = notice
        self._began = _NEVER
        self._moved = 0.0
        self._acked = 0
        self._state = ""

    def begin(self) -> None:
        """Note that a message is on its way. Does nothing if that is known."""
        if self._began == _NEVER:
            self._began = self._moved = monotonic()

    def end(self) -> None:
        """Note that it is through, or failed."""
        self._began = _NEVER
        self._tell("")

    def moved(self) -> None:
        """Note that something was read."""
        self._moved = monotonic()

    def look(self, sock: socket.socket) -> None:
        """Look at the clock, and at what the other side has acknowledged: a write is over when the kernel has it."""
        if self._began == _NEVER:
            return
        now = monotonic()
        try:
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACKED + 8)
            acked = int.from_bytes(info[_ACKED:], sys.byteorder)
            if acked != self._acked:
                self._acked = acked
                ago = int.from_bytes(info[_LAST_ACK : _LAST_ACK + 4], sys.byteorder) / 1000
                self._moved = max(self._moved, now - ago)
        except OSError:
            pass
        if now >= self._began + _LONG:
            self._tell(HANGING if now >= self._moved + _STILL else MOVING)

    def _tell(self, state: str) -> None:
        if state != self._state:
            self._state = state
            self._notice(state)
