"""The dispatcher: what couriers are told, what they report, what they leave for the next one.

`schedule` decides when one starts, the supervisor forks it. What a courier says is taken as text from a stranger.
"""

from __future__ import annotations

import os

from mailrelay.core import clock, counters, ipc, log
from mailrelay.daemon.schedule import Schedule
from mailrelay.spool import spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailrelay.daemon.status_file import Failure, Success


class Dispatcher:
    """Of one courier at a time. `pid`: 0 while none runs."""

    def __init__(self, delivers: bool, counts: memoryview) -> None:
        self.schedule = Schedule(delivers)
        self.pid = 0
        self.carried_state: dict[str, list[str]] = {}
        self.last_success: Success | None = None
        self.last_failure: Failure | None = None
        self._counters = counts
        self._requested: list[str] = []  # queue ids that the owner wants to be tried now
        self._rest = b""  # words of the running courier that are not a line yet
        self.wake_r, self.wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.report_r, self.report_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def due_now(self, now: float) -> bool:
        if self._counters[counters.OVERFLOW]:
            self.schedule.ids_lost()
        return self.schedule.due_now(now)

    def start(self, now: float) -> tuple[bool, bool]:
        """Make ready for a courier that is forked next. Return what Schedule.start does."""
        scan, flush = self.schedule.start(now)
        if scan:
            self._counters[counters.OVERFLOW] = 0
        if flush:
            self._forget_hosts()
        self._rest = b""
        return scan, flush

    def end(self, exit_code: int, now: float) -> bool:
        """Note that the courier has ended. Return false if it crashed."""
        self.read_reports()
        self.pid = 0
        self._send_requested()
        return self.schedule.end(exit_code, now)

    def read_reports(self) -> None:
        lines, self._rest = ipc.read_reports(self.report_r, self._rest)
        for line in lines:
            try:
                self._take(ipc.decode_report(line))
            except ValueError:
                log.event("bad-report", log.ERROR, line=line[:200])

    def _take(self, report: ipc.Report) -> None:
        if report[0] == "leaving":
            self.schedule.report(report[1], report[2])
        elif report[0] == "success":
            self.last_success = {"time": clock.wall(), "id": report[1], "smarthost": report[2]}
        elif report[0] == "failure":
            _, queue_id, smarthost, stage, answer, hint = report
            self.last_failure = {
                "time": clock.wall(), "id": queue_id, "smarthost": smarthost, "stage": stage, "answer": answer,
                "advice": hint,
            }  # fmt: skip
        elif report[0] == "remember":
            self.carried_state[report[1]] = report[2]
        else:
            self.carried_state.pop(report[1], None)

    def tell_refused(self, news: list[tuple[str, str, int]]) -> None:
        """Have a courier tell the owner of machines on the LAN that were refused: client, reply, how often."""
        for client, reply, count in news:
            self.carried_state[f"refused {client}"] = [reply, str(count)]
            self.schedule.scan()

    def request(self, lines: list[str]) -> None:
        """Take words of `flush` and `release`: queue ids go the way of new mail."""
        if ipc.FLUSH in lines:
            self.flush()
        self._requested += filter(spool.is_id, lines)
        self._send_requested()

    def _send_requested(self) -> None:
        """Send the requested ids; a courier at work may leave them, so that they are for the next one, too."""
        if self._requested:
            self.schedule.unblock()
            self._forget_hosts()
            if not ipc.write_ids(self.wake_w, self._requested):
                self.flush()
            if not self.pid:
                self._requested.clear()

    def flush(self) -> None:
        """Have every message and every smarthost tried now."""
        log.event("flush", log.NOTICE)
        self.schedule.flush()

    def new_settings(self, delivers: bool) -> None:
        """Keep of the carried state what limits the provider sets, and the troubles, whose end is to be told."""
        self.carried_state = ipc.keep_state(self.carried_state, "rate", "refused", ipc.TROUBLE)
        self.schedule.new_settings(delivers)

    def _forget_hosts(self) -> None:
        self.carried_state = ipc.keep_state(self.carried_state, "rate", "stuck", "refused", ipc.TROUBLE)
