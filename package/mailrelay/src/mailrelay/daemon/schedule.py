"""Decides when the next courier is started, whether it looks through the whole queue, and when a second one helps.

Is told what happened, with the time (CLOCK_BOOTTIME seconds), and asked what is due. Knows no process, file or clock:
the supervisor acts on its answers.
"""

from __future__ import annotations

from mailrelay.core.ipc import NEVER

_LONGEST_PAUSE = 60.0  # seconds between a crash and the next courier, at most; of second ones, always


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

    def scan(self, at: float = 0.0) -> None:
        """Have the whole queue looked through, then at the latest: it may hold mail that nobody was told of."""
        self._scan_due = min(self._scan_due, at)

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


class Second:
    """Decides when a second courier is started: while a transfer of the first one lasts and something else is due.

    It always looks through the whole queue. What it leaves, and what becomes due after it, is for the couriers that
    come after the first one.
    """

    __slots__ = ("_due", "_reported", "_restart_due", "busy", "flush", "running", "state")

    def __init__(self) -> None:
        self.running = False
        self.busy = self.state = ""  # the smarthost that the transfer goes to, and "moving" or "hanging"
        self.flush = False  # everything is due
        self._due = NEVER  # when there is something for it
        self._reported = False
        self._restart_due = 0.0

    # Asked.

    def next_due(self) -> float:
        """Return when to start it; NEVER while it runs or is not wanted."""
        return max(self._due, self._restart_due) if self.state and not self.running else NEVER

    def ids_due(self) -> float:
        """Return from when on to listen to the pipe of ids for it; NEVER while it does that itself or is not wanted."""
        return self._restart_due if self.state and not self.running else NEVER

    # Told.

    def slow(self, smarthost: str, state: str, due: float) -> None:
        """Note that the first courier's transfer lasts, and when mail behind it is due; state "": that it is over."""
        self.busy, self.state = smarthost, state
        self._due = min(self._due, due)
        if not state:
            self.over()

    def over(self) -> None:
        """Note that no transfer lasts."""
        self.busy = self.state = ""
        self._due, self.flush = NEVER, False

    def wake(self, *, flush: bool = False) -> None:
        """Note that something is due now: new mail, or (flush) everything, because the owner says so."""
        if self.state:
            self._due, self.flush = 0.0, self.flush or flush
            self._restart_due = 0.0 if flush else self._restart_due

    def start(self) -> bool:
        """Note that it starts. Return whether everything is due."""
        flush, self.flush = self.flush, False
        self.running, self._due, self._reported = True, NEVER, False
        return flush

    def not_started(self, flush: bool, again: float) -> None:
        """Note that there was no process for it: it is tried again."""
        self.running = False
        self.wake(flush=flush)
        self._restart_due = again

    def report(self, due: float) -> None:
        """Note when there will be something for it again."""
        self._due = min(self._due, due)
        self._reported = True

    def end(self, exit_code: int, now: float) -> bool:
        """Note that it has ended. Return false if it crashed."""
        self.running = False
        well = self._reported and not exit_code
        self._restart_due = 0.0 if well else now + _LONGEST_PAUSE
        return well
