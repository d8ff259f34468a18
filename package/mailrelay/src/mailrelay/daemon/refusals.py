"""What machines on the LAN were refused: told by the listener, kept for the status file, and the owner's news of it.

For the supervisor's loop. What the listener says is taken as from a stranger; a bounded number is kept.
"""

from __future__ import annotations

import os

from mailrelay.core import clock, ipc, log
from mailrelay.daemon import status_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailrelay.daemon.status_file import Refusal

_KEPT = 32  # pairs of machine and reply
_TOLD = 64  # machines of which the owner is told within a day
_DAY = 86400.0
_OURS = ("451 4.3", "452 4.3")  # no room, a disk that refuses: nothing that the machine could help


class Refusals:
    """`pipe_w` is for listeners."""

    __slots__ = ("_kept", "_rest", "_told", "pipe_r", "pipe_w")

    def __init__(self) -> None:
        self.pipe_r, self.pipe_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._rest = b""
        self._kept: dict[tuple[str, str], Refusal] = {}  # those refused last stand last
        self._told: dict[str, float] = {}  # client → when the owner was told, in CLOCK_BOOTTIME seconds

    def read(self) -> list[tuple[str, str, int, str]]:
        """Take what listeners have written. Return what is news for the owner: client, reply, count and advice."""
        lines, self._rest = ipc.read_reports(self.pipe_r, self._rest)
        news = []
        for line in lines:
            try:
                refusal = self._count(*ipc.decode_refusal(line))
            except ValueError:
                log.event("bad-report", log.ERROR, line=line[:200])
                continue
            if self._is_news(refusal["client"], refusal["reply"], clock.boottime()):
                news.append((refusal["client"], refusal["reply"], refusal["count"], refusal["advice"]))
        return news

    def facts(self) -> list[Refusal]:
        """Return what the status file shows."""
        return list(reversed(self._kept.values()))

    def _count(self, client: str, count: int, reply: str, advice: str, code: str) -> Refusal:
        now = clock.wall()
        refusal = self._kept.pop((client, reply), None)
        if refusal is None:
            if len(self._kept) >= _KEPT:
                del self._kept[next(iter(self._kept))]
            refusal = {
                "client": client, "reply": reply, **status_file.advice_facts([advice, code]), "count": 0, "since": now,
                "last": now,
            }  # fmt: skip
        refusal["count"] += count
        refusal["last"] = now
        self._kept[client, reply] = refusal
        return refusal

    def _is_news(self, client: str, reply: str, now: float) -> bool:
        """Return whether to tell the owner now: once a day of each machine, and of our own troubles, which all meet."""
        self._told = {known: told for known, told in self._told.items() if now < told + _DAY}
        whose = "" if reply.startswith(_OURS) else client
        if whose in self._told or len(self._told) >= _TOLD:
            return False
        self._told[whose] = now
        return True
