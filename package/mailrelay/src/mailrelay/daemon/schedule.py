"""Decides when the next courier is started, and whether it looks through the whole queue.

Is told what happened, with the time (CLOCK_BOOTTIME seconds), and asked what is due. Knows no process, file or clock:
the supervisor acts on its answers.
"""

from __future__ import annotations

from mailrelay.core.ipc import NEVER

_LONGEST_PAUSE = 60.0  # seconds between a crash and the next courier, at most


class Schedule:
    """`delivers`: false while there is no smarthost or no spool; then no courier is ever due."""

    __slots__ = (
        "_crashes", "_flush", "_ids_lost", "_ids_waiting", "_reported", "_restart_due", "_scan_due", "blocked_until",
        "delivers", "running",
    )  # fmt: skip

    def __init__(self, delivers: bool) -> None:
        self.delivers = delivers
        self.running = False
        self.blocked_until = 0.0  # before then no smarthost is to be tried
        self._scan_due = NEVER  # when the queue wants a courier that looks through it
        self._restart_due = 0.0  # not before, because the last ones crashed
        self._crashes = 0  # in a row
        self._reported = False  # the running courier has said when the queue is due again
        self._ids_waiting = False
        self._ids_lost = False
        self._flush = False

    # Asked.

    def next_due(self) -> float:
        """Return when to start the next courier if nothing else happens; NEVER while one runs."""
        if self.running or not self.delivers:
            return NEVER
        due = min(self._scan_due, self.blocked_until if self._ids_waiting or self._ids_lost else NEVER)
        return max(0.0 if self._flush else due, self._restart_due)

    def due_now(self, now: float) -> bool:
        return now >= self.next_due()

    def ids_due(self) -> float:
        """Return from when on to listen to the pipe of ids; NEVER while a courier does that itself."""
        return max(self.blocked_until, self._restart_due) if self.delivers and not self.running else NEVER

    # Told.

    def start(self, now: float) -> tuple[bool, bool]:
        """Note that a courier starts. Return whether it scans the whole queue, and whether everything is due."""
        flush = self._flush
        scan = flush or self._ids_lost or now >= self._scan_due
        if scan:
            self._scan_due, self._ids_lost = NEVER, False
        self.running = True
        self._flush = self._ids_waiting = self._reported = False
        return scan, flush

    def not_started(self, scan: bool, flush: bool, again: float) -> None:
        """Note that there was no process for the one that start() was told of: the next one takes its place."""
        self.running = False
        self._flush = self._flush or flush
        if scan:
            self.scan()
        self._ids_waiting, self._restart_due = True, again

    def report(self, due: float, blocked_until: float) -> None:
        """Note what the leaving courier says: when the queue is due again, when a smarthost may be tried."""
        self._scan_due, self.blocked_until = min(self._scan_due, due), blocked_until
        self._reported = True

    def end(self, exit_code: int, now: float) -> bool:
        """Note that the courier has ended. Return false if it crashed: each time in a row the next waits longer."""
        self.running = False
        if self._reported and not exit_code:
            self._crashes = 0
            return True
        self._restart_due = now + (min(2.0**self._crashes, _LONGEST_PAUSE) if self._crashes else 0.0)
        self._crashes = min(self._crashes + 1, 10)  # more is no longer a pause
        self.scan()
        return False

    def scan(self) -> None:
        """Have the whole queue looked through: it may hold mail that nobody was told of."""
        self._scan_due = 0.0

    def ids_waiting(self) -> None:
        """Note that ids of new mail lie in the pipe."""
        self._ids_waiting = True

    def ids_lost(self) -> None:
        """Note that the pipe had no room for some ids."""
        self._ids_lost = True

    def unblock(self) -> None:
        """Let every smarthost be tried: the owner wants some mail tried now."""
        self.blocked_until = 0.0

    def flush(self) -> None:
        """Have everything tried now, even after a crash."""
        self._flush = True
        self.blocked_until = self._restart_due = 0.0

    def new_settings(self, delivers: bool) -> None:
        """Forget what was reported of the old smarthosts, and what crashed over them."""
        self.delivers = delivers
        self.blocked_until = self._restart_due = 0.0
        self.scan()

    def stop(self) -> None:
        """Start no courier any more: the relay ends."""
        self.delivers = False
